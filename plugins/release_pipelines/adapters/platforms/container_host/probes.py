"""Looks at what runs on the host, that change nothing."""

from __future__ import annotations

import asyncio

from release_pipelines.adapters.platforms.container_host.host import Host
from release_pipelines.adapters.platforms.container_host.replicas import LABEL
from release_pipelines.adapters.platforms.container_host.state import TRACKS
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.observation import Answer, Observed, Usage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.platform import Probes


class HostProbes(Host, Probes):
    """Checks, observes, measures and asks."""

    async def check(self, target: Target) -> None:
        """Raise with one sentence unless engine, store and proxy answer, and no other app has what this one would have."""
        await self._engine.ping()
        await self._state.check()
        await self._prober.proxy_answers(target.url)
        for rival, sentence in await self._state.rivals(target):
            if not rival.had:
                raise PlatformError(sentence)

    async def remarks(self, target: Target) -> list[str]:
        """Others that have what this app has, too, as it stands since an earlier version of this package."""
        return [sentence.rstrip(".") for rival, sentence in await self._state.rivals(target) if rival.had]

    async def observe(self, target: Target) -> Observed:
        """What runs, who gets traffic, and who may change it."""
        state, replicas = await self._look(target)
        return Observed(
            tracks={
                track: await self._status(target, track, state, replicas[track])
                for track in TRACKS
                if track in state.wants or replicas[track]
            },
            route=state.route,
            lease=state.lease,
        )

    async def usage(self, target: Target, track: Track) -> Usage | None:
        """CPU and memory of the track's busiest replica, from the engine's own statistics."""
        names = [
            c.id
            for c in await self._containers(target)
            if c.labels.get(f"{LABEL}track") == track and c.state == "running"
        ]
        usages = await asyncio.gather(*(self._engine.usage(name) for name in names))
        return Usage(
            cpu=max((u.cpu for u in usages if u.cpu is not None), default=None),
            memory=max((u.memory for u in usages if u.memory is not None), default=None),
        )

    async def ask(self, target: Target, track: Track, path: str) -> Answer:
        """GET ``path`` from the first replica of the track that is ready."""
        _, replicas = await self._look(target)
        replica = next((it for it in replicas[track] if it.ready and it.url), None)
        if replica is None or replica.url is None:
            raise PlatformError(f"{track} of {target.app} in {target.environment} has no ready replica to ask.")
        return await self._prober.ask(replica.url + path, target.host, target.version_header)
