"""What stands already where a release would make something: the app as another kind of workload, or another way to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

from release_pipelines.adapters.kubernetes.annotations import annotation
from release_pipelines.adapters.kubernetes.client import (
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    Client,
    Object,
    Resource,
)
from release_pipelines.adapters.kubernetes.router import TRACK, Backends
from release_pipelines.adapters.platforms.kubernetes import manifests, ownership
from release_pipelines.adapters.platforms.kubernetes.readiness import DIGEST, STATED_AT
from release_pipelines.adapters.platforms.kubernetes.routing import find_route, router_of
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE

STATEFUL_SETS = Resource("apps/v1", "statefulsets", "StatefulSet")
DAEMON_SETS = Resource("apps/v1", "daemonsets", "DaemonSet")
ROLLOUTS = Resource("argoproj.io/v1alpha1", "rollouts", "Rollout")
ENDPOINT_SLICES = Resource("discovery.k8s.io/v1", "endpointslices", "EndpointSlice")

ROUTES = (
    ("gateway.networking.k8s.io", "httproutes", "HTTPRoute"),
    ("gateway.networking.k8s.io", "grpcroutes", "GRPCRoute"),
    ("gateway.networking.k8s.io", "tlsroutes", "TLSRoute"),
    ("gateway.networking.k8s.io", "tcproutes", "TCPRoute"),
    ("networking.istio.io", "virtualservices", "VirtualService"),
    ("networking.k8s.io", "ingresses", "Ingress"),
    ("projectcontour.io", "httpproxies", "HTTPProxy"),
    ("traefik.io", "ingressroutes", "IngressRoute"),
    ("route.openshift.io", "routes", "Route"),
)
"""Kinds of objects that send requests to a Service, by group."""
NOT_THERE = "BackendNotFound"
"""Why a route leads nowhere whose Service is yet to be made."""

Workload = tuple[str, str]
"""Kind and name."""


async def refuse_other_workload(client: Client, target: Target) -> None:
    """Raise when the app runs, but not as the Deployment that a release would change.

    A first release would make a second app beside it, which its Service picks too: the new version would get traffic by its
    number of pods, unjudged.
    """
    name = manifests.service_name(target)
    stable, service = await asyncio.gather(
        client.get(DEPLOYMENTS, target.namespace, manifests.stable_name(target)),
        client.get(SERVICES, target.namespace, name),
    )
    answering = await _answering(client, target, service) if service else Counter[Workload]()
    own = {("Deployment", manifests.deployment_name(target, it)) for it in ("stable", *BESIDE)}
    if stable is not None:
        if not answering or own & set(answering):
            return
    else:
        for found in await _idle(client, target, service):
            answering.setdefault(found, 0)
    others = {it: pods for it, pods in answering.items() if it not in own}
    if others:
        listed = ", ".join(f"{kind} {it}" + _pods(kind, pods) for (kind, it), pods in sorted(others.items()))
        raise PlatformError(
            f"Service {name} in namespace {target.namespace} is answered by {listed}, not by Deployment "
            f"{manifests.stable_name(target)}: a second app beside it would share its traffic, so nothing was changed; "
            "`workload.name` is expected to name the Deployment that answers."
        )


def _pods(kind: str, number: int) -> str:
    if kind in ("Pod", "address", "ExternalName"):
        return ""
    return f" ({number} pod{'' if number == 1 else 's'})"


async def _answering(client: Client, target: Target, service: Object) -> Counter[Workload]:
    """What answers for a Service now, and how many pods of it."""
    selector, external = service["spec"].get("selector"), service["spec"].get("externalName")
    if external:
        return Counter({("ExternalName", str(external)): 1})
    if not selector:
        return Counter({("address", it): 1 for it in await _addresses(client, target, service)})
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    pods, sets = await asyncio.gather(
        client.find(PODS, target.namespace, labels), client.find(REPLICA_SETS, target.namespace, labels)
    )
    by_uid = {it["metadata"]["uid"]: it for it in sets}
    alive = [
        it
        for it in pods
        if not it["metadata"].get("deletionTimestamp")
        and it.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]
    return Counter(_owner(pod, by_uid) for pod in alive)


def _owner(obj: Object, replica_sets: dict[str, Object], kind: str = "Pod") -> Workload:
    """The workload that made a pod; the pod itself, where nobody did."""
    owner = next((it for it in obj["metadata"].get("ownerReferences") or [] if it.get("controller")), None)
    if owner is None:
        return kind, str(obj["metadata"]["name"])
    made_by = replica_sets.get(owner.get("uid", ""))
    if owner["kind"] == "ReplicaSet" and made_by:
        return _owner(made_by, {}, "ReplicaSet")
    return str(owner["kind"]), str(owner["name"])


async def _addresses(client: Client, target: Target, service: Object) -> list[str]:
    """Where a Service without a selector sends to."""
    labels = f"kubernetes.io/service-name={service['metadata']['name']}"
    slices = await _listed(client, ENDPOINT_SLICES, target.namespace, labels)
    return [
        str(address) for it in slices for end in it.get("endpoints") or [] for address in end.get("addresses") or []
    ]


async def _idle(client: Client, target: Target, service: Object | None) -> list[Workload]:
    """Workloads that the Service would pick if they had pods, and others that are called like the app."""
    selector, name = (service or {}).get("spec", {}).get("selector") or {}, manifests.stable_name(target)
    kinds = [DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, *([ROLLOUTS] if await _serves(client, ROLLOUTS.group) else [])]
    listed = await asyncio.gather(*(_listed(client, kind, target.namespace) for kind in kinds))
    return [
        (kind.kind, str(it["metadata"]["name"]))
        for kind, found in zip(kinds, listed, strict=True)
        for it in found
        if it["metadata"]["name"] == name or manifests.selects(selector, _pod_labels(it))
    ]


def _pod_labels(workload: Object) -> dict[str, str]:
    return workload["spec"].get("template", {}).get("metadata", {}).get("labels") or {}


async def refuse_other_route(client: Client, target: Target) -> None:
    """Raise when a release would make a second route to an app that people come to already, or to one that none should lead to."""
    router, (kind, route) = router_of(target), await find_route(client, target)
    if route is not None or router.pods_make_weight:
        return
    service, missing = manifests.stable_name(target), f"{kind.kind} {manifests.route_name(target)} does not exist"
    others = await routes_to(client, target, service)
    if others:
        raise PlatformError(
            f"{missing}, and {', '.join(others)} send{'s' if len(others) == 1 else ''} to Service {service} in namespace "
            f"{target.namespace}: no second route was made; `router.route` is expected to name the one that people come by."
        )
    stable = await client.get(DEPLOYMENTS, target.namespace, manifests.stable_name(target))
    if stable is not None and router.new_routes_let_in and not _released(stable):
        raise PlatformError(
            f"{missing}, and nothing was seen that sends to Service {service} in namespace {target.namespace}, which runs "
            "already: none was made, because it would let others in; the route that people come by is expected there."
        )


async def refuse_unusable_route(client: Client, target: Target, route: Object | None) -> None:
    """Raise when the app's route could not be split, or none can be made.

    What its controller says of it is judged where it is written: a status may be behind a route that serves by now.
    """
    router, stable = router_of(target), manifests.stable_name(target)
    if router.pods_make_weight:
        return
    alone = Backends(stable, target.namespace, target.workload.port)
    if route is None:
        await router.new_route(client, target, manifests.route_name(target), alone)
        return
    router.spec(route, alone, ALL_TO_STABLE)


def _released(stable: Object) -> bool:
    """Whether a release has been here before."""
    template = stable["spec"].get("template") or {}
    return bool(annotation(stable, STATED_AT) or annotation(template, DIGEST) or TRACK in _pod_labels(stable))


async def routes_to(client: Client, target: Target, service: str) -> list[str]:
    """Kind and name of every route that sends to a Service of the app's namespace, as far as the account may look."""
    listed = await asyncio.gather(*(_of_all_namespaces(client, target, *it) for it in ROUTES))
    return [
        f"{kind} " + ("" if space == target.namespace else f"{space}/") + it["metadata"]["name"]
        for (_, _, kind), found in zip(ROUTES, listed, strict=True)
        for it in found
        if (space := it["metadata"].get("namespace", target.namespace)) is not None
        if any(sent == (target.namespace, service) for sent in sent_to(it.get("spec"), space))
        and not (kind.endswith("Route") and ownership.is_preview_route(it, target))
    ]


def named_tracks(target: Target, route: Object | None) -> set[Track]:
    """Tracks beside stable whose Services the app's route names: what it sends there would be taken for a release's."""
    named = set(sent_to((route or {}).get("spec"), target.namespace))
    return {it for it in BESIDE if (target.namespace, manifests.deployment_name(target, it)) in named}


def sent_to(part: Any, namespace: str) -> Iterator[tuple[str, str]]:
    """Namespace and name of each Service that a part of a route sends to."""
    if isinstance(part, list):
        for it in part:
            yield from sent_to(it, namespace)
    if not isinstance(part, dict):
        return
    for key, value in part.items():
        if key in ("backendRefs", "services", "alternateBackends", "service", "to"):
            for ref in value if isinstance(value, list) else [value]:
                if isinstance(ref, dict) and ref.get("kind", "Service") == "Service" and "name" in ref:
                    yield str(ref.get("namespace") or namespace), str(ref["name"])
        elif key == "destination" and isinstance(value, dict):
            name, _, rest = str(value.get("host", "")).partition(".")
            yield rest.split(".")[0] or namespace, name
        yield from sent_to(value, namespace)


async def _of_all_namespaces(client: Client, target: Target, group: str, plural: str, kind: str) -> list[Object]:
    """Objects of a kind in all namespaces, or in the app's, as far as the account may look."""
    versions = await _serves(client, group)
    if not versions:
        return []
    found: list[Object] = []
    for version in versions:
        resource = Resource(f"{group}/{version}", plural, kind)
        try:
            found = await client.find(resource, None)
        except Forbidden:
            found = await _listed(client, resource, target.namespace)
        if found:
            break
    return found


async def _listed(client: Client, kind: Resource, namespace: str, labels: str = "") -> list[Object]:
    """Objects of a kind; none where the account may not look."""
    try:
        return await client.find(kind, namespace, labels)
    except Forbidden:
        return []


async def _serves(client: Client, group: str) -> list[str]:
    """Versions of an API group; none where the account may not ask."""
    try:
        return await client.versions(group)
    except Forbidden:
        return []
