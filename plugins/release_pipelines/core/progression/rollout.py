"""Wait until a track runs what it shall run."""

from __future__ import annotations

import asyncio
from typing import Any

from release_pipelines.airflow.triggers import PlatformTrigger, first_of, insist
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.commands import Steering, aborted_by


class RolloutTrigger(PlatformTrigger):
    """Move a track toward what was stated until it is settled or cannot get there (R7).

    :param target: the app in its environment.
    :param track: the track that is waited for.
    :param fence: the writer's fence.
    :param release: the release's id, where a person may abort it meanwhile; a way back cannot be aborted.

    Event: ``{"status": TrackStatus}``; its ``failure`` is a sentence when the rollout cannot succeed. Or
    ``{"aborted": {"by", "reason"}}``.
    """

    LOOK_SECONDS = 0.5

    def __init__(self, *, target: dict[str, Any], track: Track, fence: int, release: str | None = None) -> None:
        super().__init__(target=target, track=track, fence=fence, release=release)
        self.track: Track = track
        self.fence = fence
        self.release = release

    async def watch(self, platform: Platform) -> dict[str, Any]:
        if self.release is None:
            return await self._roll(platform)
        return await first_of(self._roll(platform), self._aborted(Steering(self.release)))

    async def _aborted(self, steering: Steering) -> dict[str, Any]:
        command = await steering.aborted()
        await steering.say(command, "Ended what was being done; what was changed goes back.")
        return {"aborted": aborted_by(command)}

    async def _roll(self, platform: Platform) -> dict[str, Any]:
        said = None
        while True:
            status = await insist(lambda: platform.advance(self.target, self.track, self.fence))
            if status.settled or status.failure:
                return {"status": to_json(status)}
            if status.waiting != said:
                said = status.waiting
                self.log.info("%s: %s of %s ready. %s", self.track, status.ready, status.wanted, said or "")
            await asyncio.sleep(self.LOOK_SECONDS)


class WatchTrigger(PlatformTrigger):
    """Look at a track, changing nothing, until it is settled or cannot become ready.

    :param target: the app in its environment.
    :param track: the track that is looked at.

    Event: ``{"status": TrackStatus}``.
    """

    LOOK_SECONDS = 2.0

    def __init__(self, *, target: dict[str, Any], track: Track) -> None:
        super().__init__(target=target, track=track)
        self.track: Track = track

    async def watch(self, platform: Platform) -> dict[str, Any]:
        while True:
            status = (await insist(lambda: platform.observe(self.target))).track(self.track)
            if status.settled or status.failure:
                return {"status": to_json(status)}
            await asyncio.sleep(self.LOOK_SECONDS)
