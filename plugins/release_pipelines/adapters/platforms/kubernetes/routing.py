"""The router of an environment, and the object in the cluster that it reads and writes."""

from __future__ import annotations

from typing import cast

from release_pipelines.adapters.kubernetes.client import Client, Resource
from release_pipelines.adapters.kubernetes.router import KubernetesRouter
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
