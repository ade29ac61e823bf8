"""The container host as a platform: containers of one engine, weights in a proxy, everything that changes in one store."""

from __future__ import annotations

import logging
from functools import partial

from release_pipelines.adapters.platforms.container_host.jobs import HostJobs
from release_pipelines.adapters.platforms.container_host.leases import HostLeases
from release_pipelines.adapters.platforms.container_host.probes import HostProbes
from release_pipelines.adapters.platforms.container_host.traffic import HostTraffic
from release_pipelines.adapters.platforms.container_host.upkeep import HostUpkeep
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Platform

log = logging.getLogger(__name__)


class ContainerHost(HostUpkeep, HostTraffic, HostLeases, HostJobs, HostProbes, Platform):
    """Replicas as containers on one host, published on its loopback; a proxy in front, configured through a store.

    Its parts share one :class:`~release_pipelines.adapters.platforms.container_host.host.Host`, with its parameters.
    """

    async def renew_lease(self, target: Target, lease: Lease, ttl: float) -> Lease:
        """Push the expiry out. Whatever the release does at the moment, replicas that are gone come back beside it."""
        renewed = await super().renew_lease(target, lease, ttl)
        self._in_background(f"keep {target.app} {target.environment}", partial(self._keep_quietly, target, lease.fence))
        return renewed

    async def _keep_quietly(self, target: Target, fence: int) -> None:
        try:
            await self.keep(target, fence)
        except PlatformError as error:  # the next renewal is near
            log.info("%s Looking again.", error)
