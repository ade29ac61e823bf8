"""One look at an app in a cluster: reads objects, and leaves the judging to pure functions."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from release_pipelines.adapters.kubernetes.annotations import changed_by, noted
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
from release_pipelines.adapters.platforms.kubernetes.routing import find_route, router_of
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.route import Route
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track

LOG_LINES = 12


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
    restarted = any(
        it.get("restartCount") for pod in pods for it in pod.get("status", {}).get("containerStatuses") or []
    )
    events = []
    if restarted or not readiness.settled(deployment):
        events = await client.find(EVENTS, target.namespace, fields="involvedObject.kind=Pod")
    container = manifests.container_name(target, deployment)
    timeout = target.workload.ready_timeout
    evidence = readiness.RolloutEvidence(deployment, replica_sets, pods, events, time.time(), timeout, container)
    trouble = readiness.trouble(evidence, track)
    return readiness.status(evidence, track, trouble, await _log(client, target, trouble))


async def _owned(client: Client, target: Target, deployment: Object) -> tuple[list[Object], list[Object]]:
    labels = _selector(deployment["spec"]["selector"])
    sets, pods = await asyncio.gather(
        client.find(REPLICA_SETS, target.namespace, labels), client.find(PODS, target.namespace, labels)
    )
    uid = deployment["metadata"]["uid"]
    own = [it for it in sets if _owned_by(it, {uid})]
    return own, [pod for pod in pods if _owned_by(pod, {it["metadata"]["uid"] for it in own})]


async def _log(client: Client, target: Target, trouble: readiness.Trouble | None) -> str:
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


async def stable_pin(client: Client, target: Target, stable: Object) -> tuple[str, str] | None:
    """See :func:`manifests.stable_pin`."""
    current = readiness.current_replica_set(stable, await replica_sets(client, target, stable))
    return manifests.stable_pin(stable, current, readiness.settled(stable))


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


def _owned_by(obj: Object, uids: set[str]) -> bool:
    return any(owner.get("uid") in uids for owner in obj["metadata"].get("ownerReferences") or [])


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
