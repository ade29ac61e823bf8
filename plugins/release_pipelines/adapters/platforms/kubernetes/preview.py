"""A preview's address of its own, where there is a Gateway: a route with another host."""

from __future__ import annotations

from contextlib import suppress

from release_pipelines.adapters import routers
from release_pipelines.adapters.kubernetes.client import Client, Conflict
from release_pipelines.adapters.platforms.kubernetes import access, looking, workloads
from release_pipelines.core.model.target import Target


async def open_route(client: Client, target: Target) -> None:
    """Make the preview's route, unless it is there.

    Only once somebody answers behind it: there are gateways that drop all their routes for one without endpoints.
    """
    if not has_route(target):
        return
    kind, name = await access.route_kind(client, target), workloads.preview_route(target)
    if await client.get(kind, target.namespace, name) is not None:
        return
    found = await looking.standing(client, target)
    if found.route is None:
        return
    parents, backends = found.route["spec"].get("parentRefs") or [], looking.backends(target, found)
    body = routers.GatewayApi.beside(name, backends, target.preview_host, parents, "preview")
    with suppress(Conflict):  # somebody else has just made it
        await client.create(kind, target.namespace, body)


async def close_route(client: Client, target: Target) -> bool:
    """Remove the preview's route; returns whether there was any."""
    if not has_route(target):
        return False
    kind = await access.route_kind(client, target)
    return await client.delete(kind, target.namespace, workloads.preview_route(target))


def has_route(target: Target) -> bool:
    """Whether a preview has a route here."""
    return target.router.kind == "gateway_api" and target.preview_host is not None
