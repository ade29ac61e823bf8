"""Rollouts: waiting until a track runs the wanted version."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.commands import ReleaseCommands, aborted_by
from release_pipelines.core.progression.restating import Restating
from release_pipelines.core.progression.waiting import first_of, insist

log = logging.getLogger(__name__)

ADVANCE_SECONDS = 0.5
"""Longest pause between two steps of a rollout, in seconds."""
OBSERVE_SECONDS = 2.0
"""Pause between two looks at a rollout that something else advances, in seconds."""


class Rollout:
    """A track on its way to the version that was stated on it.

    :param platform: where the app runs.
    :param target: the app in its environment.
    :param track: the track.
    :param fence: the fence of the lease.
    :param artifact: the version that was stated: stated again when somebody else changes it (R14). None: whatever stands there.
    :param restore: whether it was stated with the configuration that it ran with (R8).
    """

    def __init__(
        self,
        platform: Platform,
        target: Target,
        track: Track,
        fence: int,
        artifact: Artifact | None = None,
        *,
        restore: bool = False,
    ) -> None:
        self.platform = platform
        self.target = target
        self.track: Track = track
        self.fence = fence
        self.restating = Restating(lambda: self._state(artifact, restore), artifact) if artifact else None

    async def _state(self, artifact: Artifact, restore: bool) -> None:
        await self.platform.deploy(self.target, self.track, artifact, None, self.fence, restore=restore)

    async def advance(self) -> TrackStatus:
        """One step; what somebody else put there is no version that is settled."""
        status = await self.platform.advance(self.target, self.track, self.fence)
        if self.restating is None or not self.restating.undone(status):
            return status
        given_up = await self.restating.again(status)
        waiting = None if given_up else self.restating.notes[-1]
        return status.model_copy(update={"settled": False, "failure": given_up, "waiting": waiting})


async def roll_out(rollout: Rollout, commands: ReleaseCommands | None) -> dict[str, Any]:
    """Advance a track until it is settled, cannot get there (R7), or a person aborts the release.

    :param commands: the release's commands; None for a rollback, which cannot be aborted.
    :return: the event: ``{"status": TrackStatus}`` or ``{"aborted": {"by", "reason"}}``.
    """
    if commands is None:
        return await _settled(rollout)
    return await first_of(_settled(rollout), _aborted(commands))


async def _aborted(commands: ReleaseCommands) -> dict[str, Any]:
    command = await commands.abort()
    await commands.answer(command, "Ended what was being done; what was changed goes back.")
    return {"aborted": aborted_by(command)}


async def _settled(rollout: Rollout) -> dict[str, Any]:
    logged, seen, pause = None, None, 0.0
    while True:
        status = await insist(rollout.advance)
        if status.settled or status.failure:
            return {"status": to_json(status)}
        if status.waiting != logged:
            logged = status.waiting
            log.info("%s: %s of %s ready. %s", rollout.track, status.ready, status.wanted, logged or "")
        pause = pause_after(pause, ADVANCE_SECONDS, changed=status != seen)
        seen = status
        await asyncio.sleep(pause)


def pause_after(pause: float, longest: float, *, changed: bool) -> float:
    """The pause before the next look, in seconds: a fifth of the longest after a change, and twice the last one as long as nothing changes."""
    return longest / 5 if changed else min(2 * pause, longest)


async def observe_rollout(platform: Platform, target: Target, track: Track) -> dict[str, Any]:
    """Look at a track, changing nothing, until it is settled or cannot become ready.

    :return: the event: ``{"status": TrackStatus}``.
    """
    while True:
        status = (await insist(lambda: platform.observe(target))).track(track)
        if status.settled or status.failure:
            return {"status": to_json(status)}
        await asyncio.sleep(OBSERVE_SECONDS)
