"""What is gone comes back, without a release or beside one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from functools import partial

from release_pipelines.adapters.platforms.container_host import rollout
from release_pipelines.adapters.platforms.container_host.engine import Container, EngineRefusal
from release_pipelines.adapters.platforms.container_host.rollout import Plan, Want
from release_pipelines.adapters.platforms.container_host.state import AppState
from release_pipelines.adapters.platforms.container_host.workloads import HostWorkloads
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track

PROBE_SECONDS = 5.0
"""Pause between two looks that also ask replicas whether they are well, as long as nothing else changes, in seconds."""


class HostUpkeep(HostWorkloads):
    """Keeps the replicas of an app."""

    async def keep(self, target: Target, fence: int | None) -> None:
        """Bring back what is gone, and take it off the router's list; roll nothing out.

        :param fence: of the release that watches; None: whoever keeps the host, whether or not there is a release.
        """
        state = await self._state.look(target)
        if fence is not None:
            self._fenced(target, state, fence)
        await self._keep(target, state, await self._containers(target), fence)

    async def _keep(self, target: Target, state: AppState, containers: list[Container], fence: int | None) -> None:
        """The same with what was seen.

        :param containers: the app's, read after its state: what the router had by then was there by then, too, or is gone.
        """
        name, now = f"{target.app} in {target.environment}", time.monotonic()
        seen = (sight(state, containers), await self._refusing(state))
        known, probed_at = self._whole.get(name, (None, 0.0))
        if known == seen and now - probed_at < PROBE_SECONDS:
            return
        self._whole.pop(name, None)
        if await self._repair(target, state, containers, fence):
            self._whole[name] = (seen, now)

    async def _refusing(self, state: AppState) -> frozenset[str]:
        """Addresses on the router's list where nobody listens any more: an engine may not notice that its container has died."""
        urls = [url for listed in state.servers.values() for url in listed]
        refused = await asyncio.gather(*(self._prober.refuses(url) for url in urls))
        return frozenset(url for url, it in zip(urls, refused, strict=True) if it)

    async def _repair(self, target: Target, state: AppState, containers: list[Container], fence: int | None) -> bool:
        """Do what there is to do; whether that was nothing, because all stands."""
        by_track = await self._replicas(target, state, containers)
        watched = state.lease is not None and state.lease.expires_at > state.now
        todos = {
            track: rollout.upkeep(want, track, by_track[track], state.now, watched=watched)
            for track, want in state.wants.items()
        }
        for track, replicas in by_track.items():  # before anything is started: that takes a while
            want, todo = state.wants.get(track), todos.get(track, Plan())
            await self._serve(target, track, want, state.servers[track], replicas, todo, fence)
        whole = True
        for track, todo in todos.items():
            want, replicas = state.wants[track], by_track[track]
            for replica in todo.stop:
                self._in_background(f"end {replica.id}", partial(self._end, target, replica))
            waiting = None
            if (todo.create or todo.start) and await self._still_wanted(target, track, want):
                try:
                    waiting = await self._start(target, track, want, todo)
                except EngineRefusal as error:
                    waiting = f"{want.version} cannot be started: {error}"
            name = f"{track} of {target.app} in {target.environment}"
            self._tell(name, f"{name}: {waiting}" if waiting else None)
            whole = whole and rollout.settled(want, replicas) and not waiting
        if whole:
            await self._free_addresses(target, state, by_track)
        return whole

    async def _still_wanted(self, target: Target, track: Track, want: Want) -> bool:
        """Whether a release has not begun to retire or replace meanwhile what seemed to be gone."""
        now = (await self._state.look(target)).wants.get(track)
        return now is not None and (now.digest, now.replicas) == (want.digest, want.replicas)


def sight(state: AppState, containers: list[Container]) -> Hashable:
    """What can be seen without asking the replicas: as long as it stays the same, and all stood, there is nothing to do."""
    return (
        tuple(sorted((it.id, it.state) for it in containers)),
        tuple(sorted((track, *urls) for track, urls in state.servers.items())),
        tuple(sorted((track, want.digest, want.replicas, want.share) for track, want in state.wants.items())),
    )
