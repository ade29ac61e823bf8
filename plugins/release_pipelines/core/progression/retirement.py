"""Retirement: tracks beside stable are removed when they have drained (R15)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.waiting import insist

LOOK_SECONDS = 0.5


async def retire_beside(platform: Platform, target: Target, fence: int) -> bool:
    """Remove every track beside stable, and what an interrupted removal has left; returns whether there was any."""
    removed = [await insist(lambda: platform.retire(target, track, fence)) for track in BESIDE]  # noqa: B023
    return any(removed)


async def settle_stable(platform: Platform, target: Target, fence: int) -> None:
    """Let stable complete its rolling update: one that was reverted half-way leaves replicas that nobody asks.

    :raises PlatformError: when it cannot.
    """
    while not (status := await insist(lambda: platform.advance(target, "stable", fence))).settled:
        if status.failure:
            raise PlatformError(status.failure)
        await asyncio.sleep(LOOK_SECONDS)


async def retire_at(platform: Platform, target: Target, fence: int, at: float) -> dict[str, Any]:
    """Remove the tracks beside stable at ``at`` (Unix time in seconds), and settle stable.

    :return: the event: ``{"retired": whether there was anything}``.
    """
    await asyncio.sleep(max(0.0, at - time.time()))
    retired = await retire_beside(platform, target, fence)
    await settle_stable(platform, target, fence)
    return {"retired": retired}
