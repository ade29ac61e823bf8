"""A preview's address of its own, where the router gives it one: a route with another host."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

from release_pipelines.adapters import entry
from release_pipelines.adapters.kubernetes.client import Client, Conflict
from release_pipelines.adapters.platforms.kubernetes import manifests, ownership
from release_pipelines.adapters.platforms.kubernetes.routing import find_route, router_of
from release_pipelines.adapters.platforms.kubernetes.services import routed_port
from release_pipelines.adapters.platforms.kubernetes.state import backends, read_state
from release_pipelines.adapters.platforms.kubernetes.writes import Writer
from release_pipelines.core.model.observation import Answer
from release_pipelines.core.model.target import Target

LOOK_SECONDS = 0.3


async def open_route(client: Client, target: Target, fence: int) -> None:
    """Make the preview's route, unless it is there.

    Only once somebody answers behind it: there are gateways that drop all their routes for one without endpoints.
    """
    if not has_route(target):
        return
    state, name = await read_state(client, target), manifests.preview_route(target)
    if state.route is None or await client.get(state.kind, target.namespace, name) is not None:
        return
    choice = replace(backends(target, state), port=await routed_port(client, target, state))
    body = router_of(target).preview_route(name, state.route, choice, target.preview_host)
    body["metadata"]["labels"] = manifests.track_labels(target, "preview")
    with suppress(Conflict):  # somebody else has just made it
        await Writer(client, target, fence).create(state.kind, body)


async def close_route(client: Client, target: Target, fence: int) -> bool:
    """Remove the preview's route; returns whether there was any. One that is the team's own stays."""
    if not has_route(target):
        return False
    kind, _ = await find_route(client, target)
    removed = False
    for name in {manifests.preview_route(target), f"{manifests.route_name(target)}-preview"}:  # earlier versions' name
        route = await client.get(kind, target.namespace, name)
        if route is not None and ownership.is_preview_route(route, target):
            removed = await Writer(client, target, fence).delete(kind, route) or removed
    return removed


async def ask(target: Target, path: str) -> Answer | None:
    """GET ``path`` at the preview's own address; None if there is no answer.

    Asked again until the version itself answers, as long as the data plane may take to hear of the route.
    """
    there = target.model_copy(update={"host": target.preview_host})
    deadline = time.monotonic() + router_of(target).settles_within
    while True:
        answer = await entry.ask(there, path)
        if (answer and answer.version is not None) or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(LOOK_SECONDS)


def has_route(target: Target) -> bool:
    """Whether a preview has a route here."""
    return router_of(target).previews_have_route and target.preview_host is not None
