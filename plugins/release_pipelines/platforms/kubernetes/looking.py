"""One look at an app in a cluster: reads objects, and leaves the judging to pure functions."""

from __future__ import annotations

import asyncio
import time

from release_pipelines.domain.values import Route, Target, Track, TrackStatus
from release_pipelines.platforms.kubernetes import access, leases, readiness, routers, workloads
from release_pipelines.platforms.kubernetes.client import (
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    PODS,
    REPLICA_SETS,
    Client,
    Object,
)

LOG_LINES = 12


async def standing(client: Client, target: Target) -> tuple[Object | None, Object | None, Object | None, Object | None]:
    """Stable, canary, route and lease as they are now."""
    get, space = client.get, target.namespace
    kind = await access.route_kind(client, target)
    return await asyncio.gather(
        get(DEPLOYMENTS, space, workloads.stable_name(target)),
        get(DEPLOYMENTS, space, workloads.canary_name(target)),
        get(kind, space, workloads.route_name(target)),
        get(LEASES, space, leases.lease_name(target)),
    )


async def status(client: Client, target: Target, track: Track, deployment: Object) -> TrackStatus:
    """How a track stands; events and logs are read only where something is not as it shall be."""
    replica_sets, pods = await _owned(client, target, deployment)
    restarted = any(
        it.get("restartCount") for pod in pods for it in pod.get("status", {}).get("containerStatuses") or []
    )
    events = []
    if restarted or not readiness.settled(deployment):
        events = await client.find(EVENTS, target.namespace, fields="involvedObject.kind=Pod")
    container = workloads.container_name(target, deployment)
    seen = readiness.Seen(deployment, replica_sets, pods, events, time.time(), target.workload.ready_timeout, container)
    trouble = readiness.trouble(seen, track)
    return readiness.status(seen, track, trouble, await _log(client, target, trouble))


async def _owned(client: Client, target: Target, deployment: Object) -> tuple[list[Object], list[Object]]:
    labels = _selector(deployment["spec"]["selector"])
    replica_sets, pods = await asyncio.gather(
        client.find(REPLICA_SETS, target.namespace, labels), client.find(PODS, target.namespace, labels)
    )
    uid = deployment["metadata"]["uid"]
    own = [it for it in replica_sets if _owned_by(it, {uid})]
    return own, [pod for pod in pods if _owned_by(pod, {it["metadata"]["uid"] for it in own})]


async def _log(client: Client, target: Target, trouble: readiness.Trouble | None) -> str:
    if trouble is None or trouble.pod is None or trouble.container is None:
        return ""
    where = (target.namespace, trouble.pod, trouble.container, LOG_LINES)
    return await client.log(*where) or await client.log(*where, previous=True)


def route_of(target: Target, route: Object | None, stable: Object | None, canary: Object | None) -> Route | None:
    """Weights, note and fence as the route has them; None where there is no route."""
    if route is None:
        return None
    note = routers.note_of(route)
    weights = router_of(target).weights(route, backends(target, stable, canary), note.weight or 0)
    return Route(
        weights=weights,
        fence=routers.fence_of(route),
        note=note,
        changed_by=routers.changed_by(route, weights),
    )


def router_of(target: Target) -> routers.Router:
    """The router of the environment."""
    return routers.ROUTERS[target.router.kind]


async def stable_pin(client: Client, target: Target, stable: Object) -> tuple[str, str] | None:
    """See :func:`workloads.stable_pin`."""
    replica_sets = await client.find(REPLICA_SETS, target.namespace, _selector(stable["spec"]["selector"]))
    current = readiness.current_replica_set(stable, replica_sets)
    return workloads.stable_pin(stable, current, readiness.settled(stable))


def backends(
    target: Target,
    stable: Object | None,
    canary: Object | None,
    pin: tuple[str, str] | None = None,
    *,
    canary_exists: bool = False,
) -> routers.Backends:
    """What the router chooses between."""
    return routers.Backends(
        stable=workloads.stable_name(target),
        canary=workloads.canary_name(target),
        namespace=target.namespace,
        port=target.workload.port,
        stable_pods=(stable or {}).get("spec", {}).get("replicas", 0),
        canary_pods=(canary or {}).get("spec", {}).get("replicas", 0),
        canary_exists=canary is not None or canary_exists,
        stable_pin=pin,
    )


def _owned_by(found: Object, uids: set[str]) -> bool:
    return any(owner.get("uid") in uids for owner in found["metadata"].get("ownerReferences") or [])


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
