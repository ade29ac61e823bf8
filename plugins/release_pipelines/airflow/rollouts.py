"""Waiting for short rollouts in the worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform


WORKER_SECONDS = 8.0
"""Maximum wait for a rollout in the worker, in seconds; a longer one is deferred, which costs about 3 s of its own."""

LOOK_SECONDS = 0.5
"""Pause between two steps of a rollout, in seconds."""

COMMAND_SECONDS = 1.0
"""Pause between two checks for an ``abort`` command, in seconds."""


def longest(target: Target, replicas: int) -> float:
    """Deadline of a rollout in seconds (R6): while replicas become ready, one after the other, it goes on."""
    return 10 * target.workload.ready_timeout * max(1, replicas) + 600


async def settle(
    platform: Platform,
    target: Target,
    track: Track,
    fence: int,
    seconds: float,
    look: Callable[[], None] | None = None,
    *,
    artifact: Artifact | None = None,
    restore: bool = False,
) -> TrackStatus:
    """Advance a track until it is settled, cannot get there, or ``seconds`` have passed.

    :param seconds: maximum wait, in seconds.
    :param look: called about once a second, in another thread; an exception that it raises ends the wait.
    :param artifact: what was stated on the track, and is stated again when somebody else changes it (R14).
    :param restore: whether it was stated with the configuration that it ran with (R8).
    """
    from release_pipelines.core.progression.rollout import Rollout, pause_after

    rollout = Rollout(platform, target, track, fence, artifact, restore=restore)
    end, looked, seen, pause = time.monotonic() + seconds, 0.0, None, 0.0
    while True:
        if look is not None and time.monotonic() - looked >= COMMAND_SECONDS:
            await asyncio.to_thread(look)
            looked = time.monotonic()
        status = await rollout.advance()
        if status.settled or status.failure or time.monotonic() > end:
            return status
        pause = pause_after(pause, LOOK_SECONDS, changed=status != seen)
        seen = status
        await asyncio.sleep(pause)
