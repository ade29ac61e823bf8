"""A preview's address of its own, where the router gives it one: a route with another host."""

from __future__ import annotations

from contextlib import suppress

from release_pipelines.adapters.kubernetes.client import Client, Conflict
from release_pipelines.adapters.platforms.kubernetes import manifests
from release_pipelines.adapters.platforms.kubernetes.routing import route_resource, router_of
from release_pipelines.adapters.platforms.kubernetes.state import backends, read_state
from release_pipelines.core.model.target import Target


async def open_route(client: Client, target: Target) -> None:
    """Make the preview's route, unless it is there.

    Only once somebody answers behind it: there are gateways that drop all their routes for one without endpoints.
    """
    if not has_route(target):
        return
    kind, name = await route_resource(client, target), manifests.preview_route(target)
    if await client.get(kind, target.namespace, name) is not None:
        return
    state = await read_state(client, target)
    if state.route is None:
        return
    body = router_of(target).preview_route(name, state.route, backends(target, state), target.preview_host)
    with suppress(Conflict):  # somebody else has just made it
        await client.create(kind, target.namespace, body)


async def close_route(client: Client, target: Target) -> bool:
    """Remove the preview's route; returns whether there was any."""
    if not has_route(target):
        return False
    kind = await route_resource(client, target)
    return await client.delete(kind, target.namespace, manifests.preview_route(target))


def has_route(target: Target) -> bool:
    """Whether a preview has a route here."""
    return router_of(target).previews_have_route and target.preview_host is not None
