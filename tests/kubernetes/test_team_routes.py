"""Routes that are not a release's alone: several apps', and with a team's own parts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.annotations import NOTE, keys_of
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from tests.kubernetes.conftest import kubectl, service
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.world import RouterKind, Visits, World, team_deployment, team_route

FIFTY = share_with("canary", 50)
CART = {"X-App": "cart"}
"""Header of requests that are for the other app."""


def note(target: Target, traffic: Traffic, **more: Any) -> RouteNote:
    return RouteNote(release=f"release_{target.app}/run#0", step="step", traffic=traffic, **more)


async def begun(world: World, target: Target, new: Artifact) -> int:
    """Take the lease, and start the new version beside the running one; returns the fence."""
    platform = world.platform
    fence = (await platform.take_lease(target, f"release_{target.app}/run#0", 600)).fence
    await platform.deploy(target, "canary", new, 1, fence)

    async def ready() -> bool:
        return (await platform.advance(target, "canary", fence)).settled

    await world.soon(ready, True)
    return fence


async def shared(world: World) -> Target:
    """A second app behind the first one's route; returns it."""
    await world.adopt("gateway_api", 1)
    cart = team_deployment(world.artifact("1.0.0"), 1, {})
    for labels in (cart["spec"]["selector"]["matchLabels"], cart["spec"]["template"]["metadata"]["labels"]):
        labels["app"] = "cart"
    cart["metadata"]["name"] = cart["spec"]["template"]["spec"]["containers"][0]["name"] = "cart"
    answered = service(world.namespace)
    answered = {**answered, "metadata": {"name": "cart"}, "spec": {**answered["spec"], "selector": {"app": "cart"}}}
    route = team_route("gateway_api", world.host)
    ref = {**route["spec"]["rules"][0]["backendRefs"][0], "name": "cart"}
    match = {"headers": [{"name": "X-App", "value": "cart"}]}
    route["spec"]["rules"].insert(0, {"name": "cart", "matches": [match], "backendRefs": [ref]})
    await world.apply(cart, answered, route)
    target = world.target()
    workload = target.workload.model_copy(update={"name": "cart", "container": None})
    other = target.model_copy(update={"app": f"{world.app}-cart", "workload": workload})

    async def settled() -> bool:
        return (await world.platform.observe(other)).track("stable").settled

    await world.soon(settled, True)
    await world.serves("1.0.0", CART)
    return other


@asynccontextmanager
async def everybody(world: World) -> AsyncIterator[Visits]:
    """People who use both apps as long as the block runs."""
    visits, over = Visits(), asyncio.Event()

    async def visitor(headers: dict[str, str]) -> None:
        async with world.session() as session:
            while not over.is_set():
                await world.visit(session, visits, headers)
                await asyncio.sleep(0.1)

    people = [asyncio.create_task(visitor(it)) for it in ({}, CART)]
    try:
        yield visits
    finally:
        over.set()
        await asyncio.gather(*people)


@side_by_side
async def test_two_apps_on_one_route_are_released_at_once_and_one_that_goes_back_leaves_the_other(
    world: World,
) -> None:  # R2, R5
    cart, platform = await shared(world), world.platform
    shop, new = world.target(), world.artifact("1.1.0")

    async def versions(headers: dict[str, str]) -> set[str]:
        return set(await world.answers(headers, 24))

    async with everybody(world) as visits:
        fences = await asyncio.gather(begun(world, shop, new), begun(world, cart, new))
        both = list(zip((shop, cart), fences, strict=True))
        await asyncio.gather(*(platform.split(it, FIFTY, note(it, FIFTY), fence) for it, fence in both))
        for headers in ({}, CART):
            await world.soon(lambda: versions(headers), {"1.0.0", "1.1.0"})  # noqa: B023
        await platform.take_lease(cart, "rollback", 600, force=True)  # another app's newer fence
        await platform.split(shop, ALL_TO_STABLE, note(shop, ALL_TO_STABLE), fences[0])
        await world.serves("1.0.0")
        assert await versions(CART) == {"1.0.0", "1.1.0"}
        assert await platform.retire(shop, "canary", fences[0])
        observed = await platform.observe(cart)
        assert observed.weight("canary") == 50
        assert observed.note == note(cart, FIFTY)
        assert (await platform.observe(shop)).note == note(shop, ALL_TO_STABLE)
    assert visits.lost == []


OWN: dict[RouterKind, tuple[str, list[dict[str, Any]]]] = {
    "gateway_api": (
        "httproute",
        [
            {
                "name": "region",
                "matches": [{"headers": [{"name": "x-z-region", "value": "eu"}]}],
                "timeouts": {"request": "3s"},
                "filters": [
                    {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["server"]}},
                    {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit", "port": 80}}},
                ],
                "backendRefs": [
                    {"name": "spare", "port": 8080, "weight": 0},
                    {"name": "web", "port": 8080, "weight": 100},
                ],
            },
            {
                "name": "admin",
                "matches": [{"path": {"type": "PathPrefix", "value": "/admin"}}],
                "backendRefs": [{"name": "admin", "port": 80, "weight": 1}],
            },
        ],
    ),
    "istio": (
        "virtualservice",
        [
            {
                "name": "region",
                "match": [{"headers": {"x-z-region": {"exact": "eu"}}}],
                "timeout": "3s",
                "retries": {"attempts": 2},
                "mirrors": [{"destination": {"host": "audit"}, "percentage": {"value": 5}}],
                "route": [
                    {"destination": {"host": "spare"}, "weight": 0},
                    {"destination": {"host": "web", "subset": "v1"}, "weight": 100},
                ],
            },
            {
                "name": "preview",
                "match": [{"authority": {"exact": "preview.localhost"}}],
                "route": [{"destination": {"host": "web-preview"}}],
            },
        ],
    ),
}


@side_by_side
@pytest.mark.parametrize("router", OWN)
async def test_what_is_a_teams_own_in_a_route_is_the_same_after_every_kind_of_split(
    world: World, router: RouterKind
) -> None:  # R5
    kind, rules = OWN[router]
    world.router = router
    route = team_route(router, world.host)
    route["metadata"]["annotations"] = {"release-pipelines/supports": "mirror,mirrors"}
    route["spec"].pop("parentRefs", None)  # nobody follows it: not every controller can do all of this
    route["spec"]["rules" if router == "gateway_api" else "http"][:0] = rules
    await world.apply(team_deployment(world.artifact("1.0.0"), 1, {}), service(world.namespace), route)
    await world.until(lambda observed: observed.track("stable").settled)
    target, platform = world.target(), world.platform
    testers = Traffic(weights={"stable": 100}, testers=Match(kind="header", name="X-Tester", value="yes"))
    splits = [share_with("canary", 10), testers, Traffic(weights={"stable": 100}, mirror=100), FIFTY, testers]
    await platform.check_traffic(target, splits)
    team = (await world.get(kind, "web"))["spec"]
    fence = await begun(world, target, world.artifact("1.1.0"))
    for split in [*splits, ALL_TO_STABLE]:
        await platform.split(target, split, note(target, split), fence)
        found = (await platform.observe(target)).route
        assert found is not None
        assert found.traffic.same(split)
        assert found.changed_by is None
        assert not await platform.split(target, split, note(target, split), fence), "what stands was written once more"
    assert (await world.get(kind, "web"))["spec"] == team
    await _notes_of_others(world, kind, target, fence)


async def _notes_of_others(world: World, kind: str, target: Target, fence: int) -> None:
    """What another version of the package has noted stays, and what cannot be read moves nothing."""
    platform, key = world.platform, keys_of(target.app).note
    await platform.split(target, FIFTY, note(target, FIFTY), fence)
    newer = json.dumps({**note(target, FIFTY).model_dump(mode="json", exclude_none=True), "newer": [1]})
    await _annotated(world, kind, {key: newer, NOTE: newer})
    following = (await platform.observe(target)).note.followed_by(release="r", step="next", traffic=FIFTY)
    await platform.split(target, FIFTY, following, fence)
    annotations = (await world.get(kind, "web"))["metadata"]["annotations"]
    assert [json.loads(annotations[it])["newer"] for it in (key, NOTE)] == [[1], [1]]
    await _annotated(world, kind, {key: "{", NOTE: "{"})
    before = (await world.get(kind, "web"))["spec"]
    with pytest.raises(PlatformError, match=r"cannot be read .* nothing is moved"):
        await platform.observe(target)
    assert (await world.get(kind, "web"))["spec"] == before


async def _annotated(world: World, kind: str, annotations: dict[str, str]) -> None:
    """Somebody else writes annotations of the route."""
    words = [f"{key}={value}" for key, value in annotations.items()]
    await asyncio.to_thread(kubectl, "annotate", "--overwrite", kind, "web", "-n", world.namespace, *words)
