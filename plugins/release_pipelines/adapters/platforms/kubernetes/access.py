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
    Resource,
)
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.target import Target


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
        listed = "; ".join(f"{', '.join(verbs)} {name}" for name, verbs in missing.items())
        raise Forbidden(f"The connection's account may not do this in namespace {target.namespace}: {listed}.")


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
