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
from release_pipelines.adapters.platforms.kubernetes import autoscaling, manifests
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
    needed += await _of_autoscaler(client, target)
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


async def _of_autoscaler(client: Client, target: Target) -> list[tuple[Resource, str, tuple[str, ...]]]:
    """What stable's autoscaler needs, where there is one: its minimum is raised, and a track gets one of its own."""
    try:
        scaler = await autoscaling.scaler_of(client, target.namespace, manifests.stable_name(target))
    except Forbidden:
        return []  # that it may not list them is said anyway
    if scaler is None:
        return []
    needed: list[tuple[Resource, str, tuple[str, ...]]] = [(scaler.resource, "", ("get", "patch"))]
    if not scaler.scaled_object:
        needed = [(scaler.resource, "", ("create", "patch", "delete"))]
    return needed


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
    return await autoscaling.scaler_of(client, target.namespace, deployment) is not None
