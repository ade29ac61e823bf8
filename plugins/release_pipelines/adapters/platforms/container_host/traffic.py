"""The split, in one write of the store."""

from __future__ import annotations

from release_pipelines.adapters.platforms.container_host.host import Host
from release_pipelines.adapters.platforms.container_host.replicas import workload_of
from release_pipelines.core.guard import refuse_unready
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.ports.platform import TrafficSplit


class HostTraffic(Host, TrafficSplit):
    """Splits the traffic."""

    async def split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        """Traffic, router and note in one write; the engine is not asked, so that traffic can be taken back without it."""
        state = await self._state.look(target)

        async def is_ready(track: Track) -> bool:
            return await self._prober.any_ready(state.servers[track], workload_of(target, state.wants.get(track)))

        await refuse_unready(target, traffic, state.route.traffic if state.route else None, is_ready)
        return await self._state.split(target, traffic, note, fence)
