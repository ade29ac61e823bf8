"""The canary held: stable gets the new version, its traffic back, and the canary goes (R18)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from release_pipelines.domain.values import Artifact, RouteNote, Track
from release_pipelines.platforms.base import Platform
from release_pipelines.triggers.base import PlatformTrigger

LOOK_SECONDS = 0.5
SETTLE_SECONDS = 1.0
"""Pause after each weight on the way back, so that a stable that breaks under load is seen before it has all of it."""


class PromoteTrigger(PlatformTrigger):
    """Roll stable to the new digest, return its traffic in steps, retire the canary after draining.

    :param target: the app in its environment.
    :param release: the release's id.
    :param artifact: what held on the canary.
    :param fence: the writer's fence.
    :param return_weights: falling canary weights on the way; 0 comes last by itself.
    :param retire_after: seconds that the canary keeps running after it lost its traffic (R15).

    Event: ``{"promoted": true}``, or ``{"failure": sentence}``: stable did not become or stay ready, and the healthy
    canary has the traffic.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        release: str,
        artifact: dict[str, Any],
        fence: int,
        return_weights: list[int],
        retire_after: float,
    ) -> None:
        super().__init__(
            target=target,
            release=release,
            artifact=artifact,
            fence=fence,
            return_weights=return_weights,
            retire_after=retire_after,
        )
        self.release = release
        self.artifact = Artifact.model_validate(artifact)
        self.fence = fence
        self.return_weights = return_weights
        self.retire_after = retire_after

    async def watch(self, platform: Platform) -> dict[str, Any]:
        failure = (
            await self._roll_stable(platform) or await self._return_traffic(platform) or await self._retire(platform)
        )
        return {"failure": failure} if failure else {"promoted": True}

    def _note(self, step: str, weight: int, *, done: bool = False) -> RouteNote:
        return RouteNote(
            release=self.release, step=step, weight=weight, started_at=time.time(), last_good=self.artifact, done=done
        )

    async def _roll_stable(self, platform: Platform) -> str | None:
        await self.insist(lambda: platform.deploy(self.target, "stable", self.artifact, None, self.fence))
        said = None
        while True:
            status = await self.insist(lambda: platform.advance(self.target, "stable", self.fence))
            await self._leave_dead_canary(platform)
            if status.settled or status.failure:
                return status.failure
            if (status.ready, status.waiting) != said:
                said = (status.ready, status.waiting)
                self.log.info("stable: %s of %s ready. %s", status.ready, status.wanted, status.waiting or "")
            await asyncio.sleep(LOOK_SECONDS)

    async def _leave_dead_canary(self, platform: Platform) -> None:
        """R5: a canary that loses its last ready replica while it serves gives its traffic to what stable has."""
        observed = await self.insist(lambda: platform.observe(self.target))
        stable, canary = observed.track("stable"), observed.track("canary")
        if observed.weight("canary") and stable.ready and not canary.ready:
            self.log.warning("The canary has no ready replica any more: stable takes its traffic early.")
            await self.insist(lambda: platform.split(self.target, 0, self._note("canary_lost", 0), self.fence))

    async def _return_traffic(self, platform: Platform) -> str | None:
        for weight in [*self.return_weights, 0]:
            failure = await self._lost_stable(platform)
            if failure:
                return failure
            await self._leave_dead_canary(platform)
            observed = await self.insist(lambda: platform.observe(self.target))
            if weight < observed.weight("canary"):  # a restart never raises what was lowered before it
                note = self._note(f"return_{100 - weight}", weight)
                await self.insist(lambda: platform.split(self.target, weight, note, self.fence))  # noqa: B023
                self.log.info("stable has %s %% of the traffic again.", 100 - weight)
                await asyncio.sleep(SETTLE_SECONDS)
        return None

    async def _lost_stable(self, platform: Platform) -> str | None:
        """R5, R18: a stable that breaks under its traffic gives it to the canary that held, as long as that is there."""
        observed = await self.insist(lambda: platform.observe(self.target))
        if observed.track("stable").ready:
            return None
        if observed.track("canary").ready and observed.weight("canary") < 100:
            await self.insist(lambda: platform.split(self.target, 100, self._note("stable_lost", 100), self.fence))
        return "stable lost its last ready replica while its traffic was being returned"

    async def _retire(self, platform: Platform) -> str | None:
        route = (await self.insist(lambda: platform.observe(self.target))).route
        end = ((route.note.started_at if route else None) or time.time()) + self.retire_after
        while True:
            failure = await self._lost_stable(platform)
            if failure:
                return failure
            if time.time() >= end:
                break
            await asyncio.sleep(max(0.0, min(SETTLE_SECONDS, end - time.time())))
        await self.insist(lambda: platform.retire(self.target, "canary", self.fence))
        done = self._note("promoted", 0, done=True)
        await self.insist(lambda: platform.split(self.target, 0, done, self.fence))
        return None


class RetireTrigger(PlatformTrigger):
    """Retire a track when it has drained (R15).

    :param target: the app in its environment.
    :param track: the track that lost its traffic.
    :param fence: the writer's fence.
    :param at: Unix time from which on it may go.

    Event: ``{"retired": whether there was anything}``.
    """

    def __init__(self, *, target: dict[str, Any], track: Track, fence: int, at: float) -> None:
        super().__init__(target=target, track=track, fence=fence, at=at)
        self.track: Track = track
        self.fence = fence
        self.at = at

    async def watch(self, platform: Platform) -> dict[str, Any]:
        await asyncio.sleep(max(0.0, self.at - time.time()))
        return {"retired": await self.insist(lambda: platform.retire(self.target, self.track, self.fence))}
