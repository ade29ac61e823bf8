"""What has to be there and allowed before a release begins."""

from __future__ import annotations

import asyncio

from release_pipelines.adapters.kubernetes.client import (
    ACCESS_REVIEWS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    Client,
    Object,
    Resource,
)
from release_pipelines.adapters.routers import PREFIX, annotation
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import Traffic

SUPPORTS = PREFIX + "supports"
"""Annotation of an HTTPRoute: what its controller can do beside the core of the Gateway API, like ``mirror,cookie``."""
MIRROR_FEATURE = "HTTPRouteRequestMirror"
GATEWAY_GROUP = "gateway.networking.k8s.io"
ROUTE_KINDS = {
    "gateway_api": (GATEWAY_GROUP, ("v1", "v1beta1"), "httproutes", "HTTPRoute"),
    "istio": ("networking.istio.io", ("v1", "v1beta1", "v1alpha3"), "virtualservices", "VirtualService"),
}


async def route_kind(client: Client, target: Target) -> Resource:
    """The resource that splits the traffic, in the newest version that the server has and this package knows.

    :raises PlatformError: when the cluster does not have it.
    """
    if target.router.kind == "replicas":
        return SERVICES
    group, known, plural, kind = ROUTE_KINDS[target.router.kind]
    served = await client.versions(group)
    version = next((it for it in known if it in served), None)
    if version is None:
        raise PlatformError(
            f"The cluster does not serve {kind} ({group}/{' or '.join(known)}), which router `{target.router.kind}` "
            f"needs; it has {', '.join(served) or 'no version of it'}."
        )
    return Resource(f"{group}/{version}", plural, kind)


async def check(client: Client, target: Target, route: Resource, *, secrets: bool, preview: bool) -> None:
    """Raise unless the namespace exists and the account may do all that a release does.

    :raises Forbidden: naming each verb and resource that is missing.
    :raises PlatformError: when the namespace does not exist.
    """
    try:
        if await client.get(NAMESPACES, None, target.namespace) is None:
            raise PlatformError(f"Namespace {target.namespace} does not exist in the cluster.")
    except Forbidden:
        pass  # an account of one namespace need not see namespaces
    change = ("get", "create", "patch")
    needed: list[tuple[Resource, str, tuple[str, ...]]] = [
        (DEPLOYMENTS, "", (*change, "list", "update", "delete")),
        (SERVICES, "", (*change, "delete")),
        (LEASES, "", change),
        (REPLICA_SETS, "", ("list",)),
        (PODS, "", ("get", "list", "create", "delete")),
        (PODS, "log", ("get",)),
        (EVENTS, "", ("list",)),
        (Resource("autoscaling/v1", "horizontalpodautoscalers", ""), "", ("list",)),
    ]
    if route != SERVICES:
        needed.append((route, "", change))
    if preview:  # a blue-green release asks its preview, and may give it a route of its own
        needed.append((SERVICES, "proxy", ("get",)))
        if route != SERVICES:
            needed.append((route, "", ("delete",)))
    if secrets:
        needed.append((SECRETS, "", change))
    asked = [(resource, sub, verb) for resource, sub, verbs in needed for verb in verbs]
    allowed = await asyncio.gather(*(_allowed(client, target.namespace, *it) for it in asked))
    missing: dict[str, list[str]] = {}
    for (resource, sub, verb), yes in zip(asked, allowed, strict=True):
        if not yes:
            name = resource.plural + (f"/{sub}" if sub else "") + (f".{resource.group}" if resource.group else "")
            missing.setdefault(name, []).append(verb)
    if missing:
        said = "; ".join(f"{', '.join(verbs)} {name}" for name, verbs in missing.items())
        raise Forbidden(f"The connection's account may not do this in namespace {target.namespace}: {said}.")


async def _allowed(client: Client, namespace: str, resource: Resource, sub: str, verb: str) -> bool:
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": resource.group,
        "resource": resource.plural,
        "subresource": sub,
    }
    answer = await client.create(ACCESS_REVIEWS, None, {"metadata": {}, "spec": {"resourceAttributes": attributes}})
    return bool(answer.get("status", {}).get("allowed"))


async def autoscaled(client: Client, target: Target, deployment: str) -> bool:
    """Whether an autoscaler owns the Deployment's number of replicas (R16)."""
    served = await client.versions("autoscaling")
    version = next((it for it in ("v2", "v2beta2", "v1") if it in served), "v1")
    scalers = await client.find(
        Resource(f"autoscaling/{version}", "horizontalpodautoscalers", "HorizontalPodAutoscaler"), target.namespace
    )
    references = [it["spec"]["scaleTargetRef"] for it in scalers]
    return any((it.get("kind"), it.get("name")) == ("Deployment", deployment) for it in references)


async def refuse_unsupported(client: Client, target: Target, route: Object, traffic: Traffic) -> None:
    """Raise unless the HTTPRoute's controller is known to do what not every controller of the Gateway API can.

    One that does not know a filter or a kind of match may answer all its requests with an error, as Traefik 3.7 does where
    a rule mirrors, or drop every route of the Gateway, as Traefik 3.0 did: nobody would be served any more. A controller says in ``status.supportedFeatures`` of its GatewayClass that it mirrors; for one
    that does not say so, and for cookies, which are no feature with a name, the team says it in :data:`SUPPORTS`.

    :raises PlatformError: naming the step's key, and the annotation.
    """
    said = {it.strip() for it in (annotation(route, SUPPORTS) or "").split(",")}
    asked = {"mirror"} if traffic.mirror else set()
    asked |= {"cookie"} if traffic.testers and traffic.testers.kind == "cookie" else set()
    missing = asked - said
    if "mirror" in missing and await _mirrors(client, target, route):
        missing.remove("mirror")
    if missing:
        raise PlatformError(
            f"The controller of HTTPRoute {route['metadata']['name']} is not known to support `{min(missing)}`, and one that does "
            f"not might drop the route: annotate the route with {SUPPORTS}={','.join(sorted(asked | said - {''}))} if it does."
        )


async def _mirrors(client: Client, target: Target, route: Object) -> bool:
    """Whether the controllers of all parents say that they mirror requests."""
    api = (await route_kind(client, target)).api
    parents = route["spec"].get("parentRefs") or []
    try:
        for parent in parents:
            where = str(parent.get("namespace") or target.namespace)
            gateway = await client.get(Resource(api, "gateways", "Gateway"), where, str(parent.get("name"))) or {}
            name = gateway.get("spec", {}).get("gatewayClassName", "")
            found = await client.get(Resource(api, "gatewayclasses", "GatewayClass"), None, str(name)) or {}
            features = found.get("status", {}).get("supportedFeatures") or []
            if MIRROR_FEATURE not in [it.get("name") if isinstance(it, dict) else it for it in features]:
                return False
    except Forbidden:  # an account of one namespace need not see classes
        return False
    return bool(parents)


async def single_gateway(client: Client, target: Target) -> Object:
    """The Gateway that a new HTTPRoute is for: the only one of the namespace, else the only one of the cluster.

    :raises PlatformError: when there is none, or more than one.
    """
    route = await route_kind(client, target)
    gateways = Resource(route.api, "gateways", "Gateway")
    found = await client.find(gateways, target.namespace) or await client.find(gateways, None)
    if len(found) != 1:
        names = ", ".join(f"{it['metadata']['namespace']}/{it['metadata']['name']}" for it in found)
        raise PlatformError(
            f"HTTPRoute {target.router.route or target.app} does not exist, and one Gateway is expected to make it for; "
            f"found {names or 'none'}. Make the HTTPRoute, with the Gateway as its parent."
        )
    return found[0]
