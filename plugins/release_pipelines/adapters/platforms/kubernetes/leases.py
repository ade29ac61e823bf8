"""The one writer (R2), as a ``coordination.k8s.io`` Lease with a fence that only rises."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from functools import cached_property

from release_pipelines.adapters.kubernetes.annotations import FENCE, annotation, fence_marks, fence_of
from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, LEASES, Client, Object
from release_pipelines.adapters.platforms.kubernetes import ownership
from release_pipelines.adapters.platforms.kubernetes.cluster import Cluster
from release_pipelines.adapters.platforms.kubernetes.evidence import unix
from release_pipelines.adapters.platforms.kubernetes.manifests import lease_time, route_name
from release_pipelines.core.errors import FenceLost, LeaseHeld, PlatformUnavailable
from release_pipelines.core.expiry import LeaseWatch
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Leases


def lease_name(target: Target) -> str:
    """Name of the app's Lease in its namespace."""
    return f"release-{target.app}"


def lease_of(obj: Object | None) -> Lease | None:
    """Who holds it; None where nobody does. The object outlives its holders, so that the fence keeps rising."""
    holder = (obj or {}).get("spec", {}).get("holderIdentity")
    if not obj or not holder:
        return None
    spec = obj["spec"]
    expires_at = unix(spec.get("renewTime")) + spec.get("leaseDurationSeconds", 0)
    seconds = float(spec.get("leaseDurationSeconds", 0))
    return Lease(holder=holder, fence=fence_of(obj), expires_at=expires_at, seconds=seconds)


def refuse_older(obj: Object | None, target: Target, fence: int, lease: Object | None = None) -> None:
    """Raise :class:`FenceLost` when the object has a newer fence of the app.

    :param lease: the app's Lease, where the object is a route: that may be several apps'.
    """
    newest = fence_of(obj, target.app, lease)
    if newest > fence:
        holder = (obj or {}).get("spec", {}).get("holderIdentity")
        raise FenceLost(
            f"{target.app} in {target.environment} was taken over{f' by {holder}' if holder else ''} "
            f"(fence {newest}, this writer has {fence}): this writer changes nothing any more."
        )


def refuse_others(lease: Object | None, target: Target, fence: int) -> None:
    """The same for the Lease itself; also when nobody holds it any more: a fence ends with the lease that it came with."""
    refuse_older(lease, target, fence)
    if lease is not None and lease_of(lease) is None:
        raise FenceLost(
            f"The lease of {target.app} in {target.environment} has been given back: this writer changes nothing any more."
        )


def refuse_foreign(lease: Object | None, target: Target) -> None:
    """Raise when the Lease of that name is not a release's: those have a fence from the beginning."""
    if lease is not None and annotation(lease, FENCE) is None:
        holder = lease.get("spec", {}).get("holderIdentity") or "nobody"
        ownership.refuse(target, [f"Lease {lease_name(target)} (held by {holder})"])


def _stated(holder: str | None, fence: int, ttl: float, current: Object | None) -> Object:
    """What the Lease shall say; valid only for the object that it was made from. Ends are kept in whole seconds."""
    now = time.time()
    metadata: Object = {"annotations": {FENCE: str(fence)}}
    if current:
        metadata["resourceVersion"] = current["metadata"]["resourceVersion"]
    spec = {
        "holderIdentity": holder,
        "renewTime": lease_time(now),
        "leaseDurationSeconds": max(1, math.ceil(ttl)),
    }
    return {"metadata": metadata, "spec": spec}


async def take(
    client: Client,
    target: Target,
    holder: str,
    ttl: float,
    free: Callable[[Lease], bool],
    marked: list[Object],
    current: Object | None,
    *,
    anew: bool = False,
) -> Lease:
    """One attempt to become the one writer; raises ``Conflict`` when somebody else was quicker.

    :param free: whether somebody else's lease may be taken.
    :param marked: the objects that bear the fence.
    :param current: the app's Lease.
    :param anew: whether the fence rises for the same holder, too.
    """
    refuse_foreign(current, target)
    current_lease = lease_of(current)
    if current_lease and current_lease.holder != holder and not free(current_lease):
        raise LeaseHeld(
            f"{target.app} in {target.environment} is held by {current_lease.holder}, until it has not been renewed for "
            f"{current_lease.seconds:.0f} s."
        )
    known = max(
        fence_of(it, target.app, current) for it in [current, *marked]
    )  # a Lease that was deleted must not let the fence fall
    same = current_lease is not None and current_lease.holder == holder and fence_of(current) == known and not anew
    fence = known if same else known + 1
    body = _stated(holder, fence, ttl, current)
    if current is None:
        body["metadata"]["name"] = lease_name(target)
        written = await client.create(LEASES, target.namespace, body)
    else:
        written = await client.patch(LEASES, target.namespace, lease_name(target), body)
    lease = lease_of(written)
    assert lease is not None  # noqa: S101 - it was written with a holder
    return lease


async def renew(client: Client, target: Target, lease: Lease, ttl: float) -> Lease:
    """One attempt to push the expiry out."""
    current = await client.get(LEASES, target.namespace, lease_name(target))
    current_lease = lease_of(current)
    if current_lease is None or (current_lease.holder, current_lease.fence) != (lease.holder, lease.fence):
        raise FenceLost(
            f"The lease of {target.app} in {target.environment} is held by {current_lease.holder if current_lease else 'nobody'}, "
            f"not by {lease.holder} any more."
        )
    body = _stated(lease.holder, lease.fence, ttl, current)
    return lease_of(await client.patch(LEASES, target.namespace, lease_name(target), body)) or lease


async def give_back(client: Client, target: Target, lease: Lease) -> bool:
    """One attempt to free the lease."""
    current = await client.get(LEASES, target.namespace, lease_name(target))
    current_lease = lease_of(current)
    if current_lease is None or (current_lease.holder, current_lease.fence) != (lease.holder, lease.fence):
        return False
    await client.patch(LEASES, target.namespace, lease_name(target), _stated(None, lease.fence, 1, current))
    return True


class KubernetesLeases(Cluster, Leases):
    """Takes, renews and gives back leases: the object ``release-<app>``."""

    @cached_property
    def _watch(self) -> LeaseWatch:
        return LeaseWatch()

    async def take_lease(
        self, target: Target, holder: str, ttl: float, *, force: bool = False, expired: Lease | None = None
    ) -> Lease:
        """Become the one writer; ``ttl`` is rounded up to whole seconds."""
        before: Object | None = None
        anew = expired is not None and expired.holder == holder

        def free(current: Lease) -> bool:
            return self._watch.over(current) or force or current == expired

        async def attempt() -> Lease:
            nonlocal before
            found, before = await asyncio.gather(
                ownership.marked(self.client, target),
                self.client.get(LEASES, target.namespace, lease_name(target)),
            )
            marked = [it.body for it in found]
            return await take(self.client, target, holder, ttl, free, marked, before, anew=anew)

        async def mark() -> None:
            for kind, body in await ownership.marked(self.client, target):
                metadata = body["metadata"]
                refuse_older(body, target, lease.fence, before)
                marks = {FENCE: str(lease.fence)}
                if kind != DEPLOYMENTS and metadata["name"] == route_name(target):
                    marks = fence_marks(lease.fence, target.app, body, before)
                if not marks.items() <= (metadata.get("annotations") or {}).items():
                    stated = {"resourceVersion": metadata["resourceVersion"], "annotations": marks}
                    await self.client.patch(kind, target.namespace, metadata["name"], {"metadata": stated})

        lease = await self._retried(target, attempt)
        # From here on whoever had the lease before finds each object changed since it read it, and looks again.
        try:
            await self._retried(target, mark)
        except PlatformUnavailable:  # a route that cannot be written now: its older holder cannot write it either
            if not force:
                raise
        return lease

    async def renew_lease(self, target: Target, lease: Lease, ttl: float) -> Lease:
        """Push the expiry out."""
        return await self._retried(target, lambda: renew(self.client, target, lease, ttl))

    async def give_back_lease(self, target: Target, lease: Lease) -> bool:
        """Free the lease if it is still this one; the object stays, so that its fence keeps rising."""
        return await self._retried(target, lambda: give_back(self.client, target, lease))
