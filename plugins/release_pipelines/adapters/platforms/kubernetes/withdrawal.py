"""A track beside stable goes, and where pods make the weight its pods leave the Service that would pick them."""

from __future__ import annotations

import asyncio
import time

from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, PODS, SERVICES, Object, Resource
from release_pipelines.adapters.kubernetes.router import Backends, applies
from release_pipelines.adapters.platforms.kubernetes import leases, manifests, ownership
from release_pipelines.adapters.platforms.kubernetes.routing import router_of
from release_pipelines.adapters.platforms.kubernetes.writes import Writer
from release_pipelines.core.errors import PlatformUnavailable
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE

WITHDRAW_SECONDS = 30.0
"""Time that the pods of a track that is withdrawn have to end, in seconds."""


async def remove(writer: Writer, kind: Resource, track: Track) -> bool:
    """Remove a track's Deployment or Service; one that is the team's own stays."""
    target = writer.target
    found = await writer.client.get(kind, target.namespace, manifests.deployment_name(target, track))
    own = found is not None and ownership.is_track(found, target, track)
    return await writer.delete(kind, found if own else None)


async def withdraw(writer: Writer, track: Track) -> bool:
    """Where pods make the weight: remove the track, and wait until none of its pods could get requests."""
    target = writer.target
    gone = await remove(writer, DEPLOYMENTS, track)
    deadline = time.time() + WITHDRAW_SECONDS
    labels = ",".join(f"{key}={value}" for key, value in manifests.own_labels(target, track).items())
    while any(
        not pod["metadata"].get("deletionTimestamp") for pod in await writer.client.find(PODS, target.namespace, labels)
    ):
        if time.time() > deadline:
            raise PlatformUnavailable(f"Pods of {manifests.deployment_name(target, track)} have not ended yet.")
        await asyncio.sleep(0.2)
    return gone


async def free_selector(writer: Writer) -> bool:
    """Where pods make the weight: give the Service its own selector back, when no track is left that it must not pick."""
    target = writer.target
    service = await writer.client.get(SERVICES, target.namespace, manifests.service_name(target))
    if service is None:
        return False
    alone = Backends(manifests.stable_name(target), target.namespace, target.workload.port)
    free = router_of(target).spec(service, alone, ALL_TO_STABLE)
    return await write_selector(writer, service, free)


async def write_selector(writer: Writer, service: Object, spec: Object) -> bool:
    """State whom the Service picks; returns whether that is news."""
    leases.refuse_older(service, writer.target, writer.fence)
    if applies({"spec": spec}, service):
        return False
    await writer.patch(SERVICES, service, {"spec": spec})
    return True
