"""The router of an environment, and the object in the cluster that it reads and writes."""

from __future__ import annotations

from typing import cast

from release_pipelines.adapters.kubernetes.client import Client, Object, Resource
from release_pipelines.adapters.kubernetes.router import KubernetesRouter
from release_pipelines.adapters.platforms.kubernetes import manifests
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports import router as ports


def router_of(target: Target) -> KubernetesRouter:
    """The router of the environment; that it fits was checked when the environment's file was read."""
    return cast("KubernetesRouter", ports.router_of(target.router))


async def route_resource(client: Client, target: Target) -> Resource:
    """The resource that splits the traffic, in the newest version that the server has and the router knows.

    :raises PlatformError: when the cluster does not have it.
    """
    return await router_of(target).resource.served(client, target.router.kind)


async def find_route(client: Client, target: Target) -> tuple[Resource, Object | None]:
    """The object that splits the traffic, and its kind: of those that the router knows the first that there is one of.

    :raises PlatformError: when the cluster does not have the router's own kind.
    """
    name, own = manifests.route_name(target), await route_resource(client, target)
    route = await client.get(own, target.namespace, name)
    if route is not None:
        return own, route
    for other in router_of(target).also:
        try:
            kind = await other.served(client, target.router.kind)
            found = await client.get(kind, target.namespace, name)
        except PlatformUnavailable:
            raise
        except PlatformError:  # not served, or not for this account to see: a release has no route of this kind here
            continue
        if found is not None:
            return kind, found
    return own, route
