"""Tracks beside stable go when they have drained (R15)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from release_pipelines.airflow.triggers import PlatformTrigger, insist
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE
from release_pipelines.core.ports.platform import Platform

LOOK_SECONDS = 0.5


async def retire_beside(platform: Platform, target: Target, fence: int) -> bool:
    """Remove every track beside stable, also what a killed try has left of one; returns whether there was any."""
    gone = [await insist(lambda: platform.retire(target, track, fence)) for track in BESIDE]  # noqa: B023
    return any(gone)


async def settle_stable(platform: Platform, target: Target, fence: int) -> None:
    """Let stable end what it is doing: an update that was turned back half-way leaves replicas that nobody asks.

    :raises PlatformError: when it cannot.
    """
    while not (status := await insist(lambda: platform.advance(target, "stable", fence))).settled:
        if status.failure:
            raise PlatformError(status.failure)
        await asyncio.sleep(LOOK_SECONDS)


class RetireTrigger(PlatformTrigger):
    """Retire what runs beside stable, from a moment on, and see stable settled.

    :param target: the app in its environment.
    :param fence: the writer's fence.
    :param at: Unix time in seconds from which on it may go.

    Event: ``{"retired": whether there was anything}``.
    """

    def __init__(self, *, target: dict[str, Any], fence: int, at: float) -> None:
        super().__init__(target=target, fence=fence, at=at)
        self.fence = fence
        self.at = at

    async def watch(self, platform: Platform) -> dict[str, Any]:
        await asyncio.sleep(max(0.0, self.at - time.time()))
        gone = await retire_beside(platform, self.target, self.fence)
        await settle_stable(platform, self.target, self.fence)
        return {"retired": gone}
