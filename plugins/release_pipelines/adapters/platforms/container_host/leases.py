"""Leases, in the store that their fence guards."""

from __future__ import annotations

from release_pipelines.adapters.platforms.container_host.host import Host
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Leases


class HostLeases(Host, Leases):
    """Takes, renews and gives back leases."""

    async def take_lease(
        self, target: Target, holder: str, ttl: float, *, force: bool = False, expired: Lease | None = None
    ) -> Lease:
        """Become the one writer. The store's clock alone writes and judges all ends."""
        anew = expired is not None and expired.holder == holder
        return await self._state.take(target, holder, ttl, force, anew)

    async def renew_lease(self, target: Target, lease: Lease, ttl: float) -> Lease:
        """Push the expiry out; also after it has passed, as long as nobody else took the lease."""
        return await self._state.renew(target, lease, ttl)

    async def give_back_lease(self, target: Target, lease: Lease) -> bool:
        """Free the lease if it is still this one."""
        return await self._state.give_back(target, lease)
