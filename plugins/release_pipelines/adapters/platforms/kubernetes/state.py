"""One look at an app in a cluster: reads objects, and leaves the judging to pure functions."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace

from release_pipelines.adapters.kubernetes.annotations import annotation, changed_by, noted
from release_pipelines.adapters.kubernetes.client import (
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    PODS,
    REPLICA_SETS,
    Client,
    Object,
    Resource,
)
from release_pipelines.adapters.kubernetes.router import Backends
from release_pipelines.adapters.platforms.kubernetes import leases, manifests, ownership, readiness
from release_pipelines.adapters.platforms.kubernetes.evidence import (
    STATED_AT,
    RolloutEvidence,
    containers,
    current_replica_set,
    owned_by,
    unready_since,
)
from release_pipelines.adapters.platforms.kubernetes.reasons import Trouble
from release_pipelines.adapters.platforms.kubernetes.routing import find_route, router_of
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.route import Route
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track

log = logging.getLogger(__name__)

LOG_LINES = 12
EVENTFUL_PODS = 8
"""Maximum number of pods whose events are read in one look: where more than that have trouble, it is the same one."""
EVENTFUL_SECONDS = 3.0
"""Seconds after a change in which nobody asks why its pods are not there yet: most of them are by then."""


@dataclass(frozen=True)
class ClusterState:
    """What the cluster has of one app."""

    tracks: dict[Track, Object]
    """Deployments by track."""
    route: Object | None
    lease: Object | None
    kind: Resource
    """The kind of the route, also where there is none yet."""

    @property
    def stable(self) -> Object | None:
        """The user's own Deployment."""
        return self.tracks.get("stable")

    @property
    def beside(self) -> list[Track]:
        """Tracks beside stable that have a Deployment."""
        return [track for track in self.tracks if track != "stable"]


async def read_state(client: Client, target: Target) -> ClusterState:
    """All tracks, route and lease as they are now."""
    get, space = client.get, target.namespace
    stable, beside, (kind, route), lease = await asyncio.gather(
        get(DEPLOYMENTS, space, manifests.stable_name(target)),
        client.find(DEPLOYMENTS, space, f"{manifests.WORKLOAD}={manifests.stable_name(target)}"),
        find_route(client, target),
        get(LEASES, space, leases.lease_name(target)),
    )
    tracks: dict[Track, Object] = {"stable": stable} if stable else {}
    by_name = {it["metadata"]["name"]: it for it in beside}
    for track in BESIDE:
        it = by_name.get(manifests.deployment_name(target, track))
        if it is not None and ownership.is_track(it, target, track):
            tracks[track] = it
    return ClusterState(tracks, route, lease, kind)


async def track_status(client: Client, target: Target, track: Track, deployment: Object) -> TrackStatus:
    """How a track stands; events and logs are read only where something is not as it shall be."""
    replica_sets, pods = await _owned(client, target, deployment)
    container = manifests.container_name(target, deployment)
    timeout = target.workload.ready_timeout
    evidence = RolloutEvidence(deployment, replica_sets, pods, [], time.time(), timeout, container)
    evidence = replace(evidence, events=await _events(client, target, evidence))
    trouble = readiness.trouble(evidence, track)
    return readiness.status(evidence, track, trouble, await _log(client, target, trouble))


async def _events(client: Client, target: Target, evidence: RolloutEvidence) -> list[Object]:
    """The events of what is not as it shall be; of its pods those that say most."""

    def restarts(pod: Object) -> int:
        return sum(it.get("restartCount") or 0 for it in containers(pod))

    settled = readiness.settled(evidence.deployment)
    if not settled and evidence.now - float(annotation(evidence.deployment, STATED_AT) or 0) < EVENTFUL_SECONDS:
        return []
    concerned = [pod for pod in evidence.pods if restarts(pod) or (not settled and unready_since(pod) is not None)]
    concerned.sort(key=lambda pod: (-restarts(pod), unready_since(pod) or 0))
    objects = concerned[:EVENTFUL_PODS]
    if not settled:
        current = current_replica_set(evidence.deployment, evidence.replica_sets)
        objects = [evidence.deployment, *([current] if current else []), *objects]
    fields = [f"involvedObject.uid={it['metadata']['uid']}" for it in objects]
    try:
        found = await asyncio.gather(*(client.find(EVENTS, target.namespace, fields=it) for it in fields))
    except PlatformError as error:  # they explain, and decide nothing
        log.info("The events in %s cannot be read: %s", target.namespace, error)
        return []
    return [event for events in found for event in events]


async def _owned(client: Client, target: Target, deployment: Object) -> tuple[list[Object], list[Object]]:
    labels = _selector(deployment["spec"]["selector"])
    sets, pods = await asyncio.gather(
        client.find(REPLICA_SETS, target.namespace, labels), client.find(PODS, target.namespace, labels)
    )
    own = [it for it in sets if owned_by(it, deployment)]
    return own, [pod for pod in pods if any(owned_by(pod, it) for it in own)]


async def _log(client: Client, target: Target, trouble: Trouble | None) -> str:
    if trouble is None or trouble.pod is None or trouble.container is None:
        return ""
    where = (target.namespace, trouble.pod, trouble.container, LOG_LINES)
    return await client.log(*where) or await client.log(*where, previous=True)


def route_of(target: Target, state: ClusterState) -> Route | None:
    """Traffic, note and fence as the route has them; None where there is no route."""
    route = state.route
    if route is None:
        return None
    kept = noted(route, target.app, state.lease)
    traffic = router_of(target).traffic(route, backends(target, state), kept.note.traffic)
    return Route(
        traffic=traffic,
        fence=kept.fence,
        note=kept.note,
        changed_by=changed_by(route, traffic, target.app, state.lease),
    )


async def replica_sets(client: Client, target: Target, deployment: Object) -> list[Object]:
    """All ReplicaSets that the Deployment's selector picks."""
    return await client.find(REPLICA_SETS, target.namespace, _selector(deployment["spec"]["selector"]))


async def pods_of(client: Client, target: Target, deployment: Object) -> list[Object]:
    """All pods of the Deployment."""
    return (await _owned(client, target, deployment))[1]


async def stable_pin(client: Client, target: Target, stable: Object) -> tuple[str, str] | None:
    """See :func:`manifests.stable_pin`."""
    return manifests.stable_pin(stable, await replica_sets(client, target, stable))


def backends(
    target: Target, state: ClusterState, pin: tuple[str, str] | None = None, *, coming: Track | None = None
) -> Backends:
    """What the router chooses between.

    :param coming: a track whose Deployment is about to be made.
    """
    beside: dict[Track, int] = {coming: 0} if coming else {}
    beside |= {it: int(state.tracks[it]["spec"].get("replicas", 1)) for it in state.beside}
    return Backends(
        stable=manifests.stable_name(target),
        namespace=target.namespace,
        port=target.workload.port,
        stable_pods=(state.stable or {}).get("spec", {}).get("replicas", 0),
        beside=beside,
        stable_pin=pin,
        app=target.app,
    )


def _selector(selector: Object) -> str:
    """A label selector as the API's query wants it."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for it in selector.get("matchExpressions") or []:
        values = ",".join(it.get("values") or [])
        parts.append(
            {"Exists": it["key"], "DoesNotExist": f"!{it['key']}"}.get(
                it["operator"], f"{it['key']} {it['operator'].lower()} ({values})"
            )
        )
    return ",".join(parts)
