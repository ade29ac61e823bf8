"""Rollouts: waiting until a track runs the wanted version."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.commands import ReleaseCommands, aborted_by
from release_pipelines.core.progression.waiting import first_of, insist

log = logging.getLogger(__name__)

ADVANCE_SECONDS = 0.5
"""Pause between two steps of a rollout, in seconds."""
OBSERVE_SECONDS = 2.0
"""Pause between two looks at a rollout that something else advances, in seconds."""


async def roll_out(
    platform: Platform, target: Target, track: Track, fence: int, commands: ReleaseCommands | None
) -> dict[str, Any]:
    """Advance a track until it is settled, cannot get there (R7), or a person aborts the release.

    :param commands: the release's commands; None for a rollback, which cannot be aborted.
    :return: the event: ``{"status": TrackStatus}`` or ``{"aborted": {"by", "reason"}}``.
    """
    if commands is None:
        return await _settled(platform, target, track, fence)
    return await first_of(_settled(platform, target, track, fence), _aborted(commands))


async def _aborted(commands: ReleaseCommands) -> dict[str, Any]:
    command = await commands.abort()
    await commands.answer(command, "Ended what was being done; what was changed goes back.")
    return {"aborted": aborted_by(command)}


async def _settled(platform: Platform, target: Target, track: Track, fence: int) -> dict[str, Any]:
    logged = None
    while True:
        status = await insist(lambda: platform.advance(target, track, fence))
        if status.settled or status.failure:
            return {"status": to_json(status)}
        if status.waiting != logged:
            logged = status.waiting
            log.info("%s: %s of %s ready. %s", track, status.ready, status.wanted, logged or "")
        await asyncio.sleep(ADVANCE_SECONDS)


async def observe_rollout(platform: Platform, target: Target, track: Track) -> dict[str, Any]:
    """Look at a track, changing nothing, until it is settled or cannot become ready.

    :return: the event: ``{"status": TrackStatus}``.
    """
    while True:
        status = (await insist(lambda: platform.observe(target))).track(track)
        if status.settled or status.failure:
            return {"status": to_json(status)}
        await asyncio.sleep(OBSERVE_SECONDS)
