"""One route for several apps: each has its own note, fence and traffic on it. What earlier versions wrote has no app in its key."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.annotations import APP, FENCE, NOTE, TRAFFIC, fence_of, keys_of, note_of
from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, SERVICES, Object
from release_pipelines.adapters.platforms.kubernetes import manifests
from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.errors import FenceLost, PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import RouterSettings, Target, Workload
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_ownership import ROUTES

TEN = share_with("canary", 10)
FIFTY = share_with("canary", 50)


def image(app: str, number: int = 1) -> Artifact:
    return Artifact(app=app, version=f"1.{number}.0", image=f"example/{app}", digest=f"sha256:{number:064}")


def target(app: str) -> Target:
    return Target(
        app=app,
        environment="production",
        platform="kubernetes",
        platform_connection="a",
        registry_connection="b",
        prometheus_connection="c",
        namespace="shops",
        workload=Workload(name=app, replicas=2),
        router=RouterSettings(kind="gateway_api", route="edge"),
        url="http://127.0.0.1",
        host="shop.example",
    )


SHOP, CART = target("shop"), target("cart")


def rule(app: str) -> Object:
    match = {"path": {"type": "PathPrefix", "value": f"/{app}"}}
    return {"matches": [match], "backendRefs": [{"name": app, "port": 8080}]}


@pytest.fixture
def client() -> MemoryClient:
    """Two apps behind one HTTPRoute."""
    client = MemoryClient(gateway__networking__k8s__io=["v1"])
    for it in (SHOP, CART):
        client.add(DEPLOYMENTS, manifests.stable_deployment(it, image(it.app), 2, False, 0))
        spec = {"selector": {"app": it.app}, "ports": [{"name": "http", "port": 8080}]}
        client.add(SERVICES, {"metadata": {"name": it.app}, "spec": spec})
    spec = {"parentRefs": [{"name": "edge"}], "rules": [rule("cart"), rule("shop")]}
    client.add(ROUTES, {"metadata": {"name": "edge"}, "spec": spec})
    return client


@pytest.fixture
def platform(client: MemoryClient) -> Kubernetes:
    return kubernetes(client)


def edge(client: MemoryClient) -> Object:
    return client.objects["httproutes", "edge"]


def note(app: str, **more: Any) -> RouteNote:
    return RouteNote(release=f"release_{app}/run#0", step="step_10", traffic=TEN, started_at=1.0, **more)


async def at_ten(platform: Kubernetes, it: Target) -> int:
    """Begin a release of the app, up to 10 %."""
    fence = (await platform.take_lease(it, f"release_{it.app}/run#0", 60)).fence
    await platform.deploy(it, "canary", image(it.app, 2), 1, fence)
    assert await platform.split(it, TEN, note(it.app, last_good=image(it.app)), fence)
    return fence


async def test_two_apps_on_one_route_do_not_see_each_others_releases(platform: Kubernetes) -> None:
    shop, cart = await asyncio.gather(at_ten(platform, SHOP), at_ten(platform, CART))
    for it in (SHOP, CART):
        route = (await platform.observe(it)).route
        assert route is not None
        assert route.note == note(it.app, last_good=image(it.app))
        assert (route.traffic.same(TEN), route.changed_by) == (True, None)
    await platform.split(SHOP, ALL_TO_STABLE, note("shop"), shop)
    assert (await platform.observe(SHOP)).weight("canary") == 0
    assert (await platform.observe(CART)).weight("canary") == 10
    assert await platform.retire(SHOP, "canary", shop)
    await platform.split(CART, FIFTY, note("cart"), cart)


async def test_one_apps_newer_lease_takes_nothing_from_the_other(platform: Kubernetes, client: MemoryClient) -> None:
    fence = await at_ten(platform, SHOP)
    for holder in ("a", "b", "c"):
        await platform.take_lease(CART, holder, 60, force=True)
    before = edge(client)["spec"]["rules"][0]
    assert await platform.split(SHOP, ALL_TO_STABLE, note("shop"), fence)
    assert edge(client)["spec"]["rules"][0] == before
    await platform.take_lease(SHOP, "rollback", 60, force=True)
    with pytest.raises(FenceLost):
        await platform.split(SHOP, TEN, note("shop"), fence)


async def test_an_app_that_was_released_is_no_way_back_for_another(platform: Kubernetes) -> None:
    fence = await at_ten(platform, CART)
    await platform.split(CART, ALL_TO_STABLE, note("cart", last_good=image("cart", 2), done=True), fence)
    observed = await platform.observe(SHOP)
    assert observed.note == RouteNote()
    assert observed.route is not None
    assert observed.route.fence == 0
    strange = note("shop", last_good=image("cart"))
    fence = (await platform.take_lease(SHOP, "release_shop/run#0", 60)).fence
    await platform.split(SHOP, ALL_TO_STABLE, strange, fence)
    assert (await platform.observe(SHOP)).note == strange.model_copy(update={"last_good": None})


# --- keys of earlier versions ------------------------------------------------------------------------------------


def earlier(client: MemoryClient, written: RouteNote, fence: int) -> None:
    """An earlier version writes."""
    annotations = edge(client)["metadata"].setdefault("annotations", {})
    traffic = (written.traffic or ALL_TO_STABLE).model_dump_json(exclude_defaults=True)
    annotations |= {NOTE: written.model_dump_json(exclude_none=True), FENCE: str(fence), TRAFFIC: traffic}


async def test_a_release_that_an_earlier_version_began_goes_on(platform: Kubernetes, client: MemoryClient) -> None:
    earlier(client, note("shop", last_good=image("shop")), 7)
    observed = await platform.observe(SHOP)
    assert observed.note == note("shop", last_good=image("shop"))
    assert observed.route is not None
    assert observed.route.fence == 7
    assert (await platform.take_lease(SHOP, "release_shop/run#0", 60)).fence == 8
    assert (await platform.observe(SHOP)).note == note("shop", last_good=image("shop"))


async def test_what_an_earlier_version_noted_of_another_app_is_left_to_that_app(
    platform: Kubernetes, client: MemoryClient
) -> None:
    earlier(client, note("cart", last_good=image("cart")), 7)
    assert (await platform.observe(SHOP)).note == RouteNote()
    fence = (await platform.take_lease(SHOP, "release_shop/run#0", 60)).fence
    await platform.split(SHOP, ALL_TO_STABLE, note("shop"), fence)
    assert (await platform.observe(CART)).note == note("cart", last_good=image("cart"))
    assert edge(client)["metadata"]["annotations"][FENCE] == "7"


async def test_an_earlier_version_sees_what_this_one_wrote_and_this_one_sees_what_that_wrote(
    platform: Kubernetes, client: MemoryClient
) -> None:
    fence = await at_ten(platform, SHOP)
    annotations = edge(client)["metadata"]["annotations"]
    assert RouteNote.model_validate_json(annotations[NOTE]) == note("shop", last_good=image("shop"))
    assert (annotations[FENCE], annotations[APP]) == (str(fence), "shop")
    given_back = note("shop").model_copy(update={"step": "aborted", "traffic": ALL_TO_STABLE})
    earlier(client, given_back, fence)
    observed = await platform.observe(SHOP)
    assert observed.note == given_back
    await platform.split(SHOP, ALL_TO_STABLE, given_back, fence)
    assert (await platform.observe(SHOP)).note == given_back


async def test_a_newer_fence_of_an_earlier_version_counts(platform: Kubernetes, client: MemoryClient) -> None:
    fence = await at_ten(platform, SHOP)
    edge(client)["metadata"]["annotations"][FENCE] = str(fence + 1)
    with pytest.raises(FenceLost):
        await platform.split(SHOP, ALL_TO_STABLE, note("shop"), fence)


@pytest.mark.parametrize("app", ["shop", "a" * 40, "Shop_2", "x" * 300])
def test_an_apps_keys_are_valid_names_of_annotations(app: str) -> None:
    for key in keys_of(app):
        prefix, _, name = key.partition("/")
        assert len(prefix) <= 253
        assert len(name) <= 63
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", prefix)
    assert keys_of(app) != keys_of(app + "x")


# --- notes of other versions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [NOTE, keys_of("shop").note])
@pytest.mark.parametrize(
    "text", ["{", "[]", '{"step": {}}', '{"schema_version": 3}', '{"traffic": {"weights": {"shadow": 100}}}']
)
async def test_a_note_that_cannot_be_read_is_never_an_empty_one(
    platform: Kubernetes, client: MemoryClient, key: str, text: str
) -> None:
    edge(client)["metadata"]["annotations"] = {key: text}
    with pytest.raises(PlatformError, match=f"annotation {key} of edge cannot be read .* nothing is moved") as said:
        await platform.observe(SHOP)
    assert "\n" not in str(said.value)


async def test_keys_of_a_newer_version_stay_in_the_note(platform: Kubernetes, client: MemoryClient) -> None:
    fence = await at_ten(platform, SHOP)
    annotations = edge(client)["metadata"]["annotations"]
    for key in (NOTE, keys_of("shop").note):
        newer = json.loads(annotations[key])
        newer["watched_by"] = "guard"
        newer["last_good"]["reference"] = "example/shop:1"
        annotations[key] = json.dumps(newer)
    observed = await platform.observe(SHOP)
    following = observed.note.followed_by(release="release_shop/run#0", step="step_50", traffic=FIFTY)
    assert await platform.split(SHOP, FIFTY, following, fence)
    for key in (NOTE, keys_of("shop").note):
        written = json.loads(edge(client)["metadata"]["annotations"][key])
        assert (written["step"], written["watched_by"]) == ("step_50", "guard")
        assert written["last_good"]["reference"] == "example/shop:1"


def test_keys_without_an_app_are_those_of_a_route_that_only_one_app_has() -> None:
    route = {"metadata": {"name": "web", "annotations": {NOTE: note("shop").model_dump_json(), FENCE: "3"}}}
    assert (note_of(route), fence_of(route)) == (note("shop"), 3)
