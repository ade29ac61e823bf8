"""What the store keeps of an app, also when another version of this package has written it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from release_pipelines.adapters.platforms.container_host import state as states
from release_pipelines.adapters.platforms.container_host.state import KnownApp, State
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic, share_with
from tests.adapters.routers.test_contract import store
from tests.fakes import artifact, target

__all__ = ["store"]

SHOP = target()
KEY = "release-pipelines/shop/production"
NOTE = RouteNote(release="r", step="step_10", traffic=ALL_TO_STABLE, last_good=artifact())


@pytest.fixture
async def state(store: str) -> AsyncIterator[State]:
    redis.Redis.from_url(store).flushall()
    state = State(store)
    try:
        yield state
    finally:
        await state.close()


@pytest.fixture
def fields(store: str) -> Any:
    return redis.Redis.from_url(store, decode_responses=True)


async def written(state: State) -> int:
    fence = (await state.take(SHOP, "release", 60, False)).fence
    await state.split(SHOP, ALL_TO_STABLE, NOTE, fence)
    return fence


@pytest.mark.parametrize("field", ["note", "written"])
@pytest.mark.parametrize("text", ["{", '{"weights": 3, "step": {}}'])
async def test_what_cannot_be_read_is_never_taken_for_nothing(state: State, fields: Any, field: str, text: str) -> None:
    await written(state)
    fields.hset(KEY, field, text)
    with pytest.raises(PlatformError, match=f"field {field} of {KEY} .* cannot be read .* nothing is moved"):
        await state.look(SHOP)


async def test_what_a_newer_version_has_added_stays(state: State, fields: Any) -> None:
    fence = await written(state)
    want = {"digest": "d", "version": "1", "image": "i", "replicas": 1, "progress_at": 0.0}
    await state.want(SHOP, "stable", want, fence, restore=False)
    for field in ("note", "written", "want:stable"):
        fields.hset(KEY, field, json.dumps({**json.loads(fields.hget(KEY, field)), "newer": 1}))
    look = await state.look(SHOP)
    assert look.wants["stable"].digest == "d"
    assert look.route is not None
    assert look.route.changed_by is None
    await state.split(SHOP, ALL_TO_STABLE, look.route.note.followed_by(release="r", step="step_50"), fence)
    note = json.loads(fields.hget(KEY, "note"))
    assert (note["step"], note["newer"]) == ("step_50", 1)


async def test_a_good_version_of_another_app_is_no_way_back(state: State, fields: Any) -> None:
    fence = await written(state)
    other = artifact().model_copy(update={"app": "cart"})
    await state.split(SHOP, ALL_TO_STABLE, NOTE.model_copy(update={"last_good": other}), fence)
    route = (await state.look(SHOP)).route
    assert route is not None
    assert route.note.last_good is None


async def test_an_address_is_one_apps_and_nobody_elses_for_a_while_after(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SHOP.model_copy(update={"app": "cart"})
    first, second = wanted = [f"192.0.2.1:{number}" for number in (1, 2)]
    assert await state.reserve(SHOP, wanted) == first
    assert await state.reserve(other, wanted) == second
    assert await state.reserve(other, wanted) is None
    monkeypatch.setattr(states, "NEW_SECONDS", -1)
    await state.free_addresses(SHOP, {first})
    assert await state.reserve(other, wanted) is None
    await state.free_addresses(SHOP, set())
    assert await state.reserve(other, wanted) is None
    await state.free_addresses(SHOP, {first})  # in use again: reserved for good
    monkeypatch.setattr(states, "RESERVED_SECONDS", 0)
    await state.free_addresses(SHOP, set())
    assert await state.reserve(other, wanted) == first


async def test_who_holds_no_lease_changes_servers_only_of_what_shall_run(state: State, fields: Any) -> None:
    fence = await written(state)
    want = {"digest": "d", "version": "1", "image": "i", "replicas": 1, "progress_at": 0.0}
    await state.want(SHOP, "stable", want, fence, restore=False, engine="unix:///engine.sock")
    known = (await state.look(SHOP)).wants["stable"]
    await state.serve(SHOP, "stable", replace(known, digest="another"), [], ["http://1"], [], None)
    assert (await state.look(SHOP)).servers["stable"] == []
    await state.serve(SHOP, "stable", known, [], ["http://1"], [], None)
    await state.serve(SHOP, "stable", known, [], ["http://2"], [], None)
    assert (await state.look(SHOP)).servers["stable"] == ["http://1"]
    assert await state.apps() == [KnownApp("shop", "production", "unix:///engine.sock", "traefik")]


@pytest.mark.parametrize("traffic", [share_with("canary", 10), Traffic(weights={"stable": 100}, mirror=50)])
async def test_a_router_names_only_services_that_the_proxy_has_had_time_to_read(  # it lists keys before it reads them
    state: State, fields: Any, traffic: Traffic
) -> None:
    fence = await written(state)
    want = {"digest": "d", "version": "1", "image": "i", "replicas": 1, "progress_at": 0.0}
    await state.want(SHOP, "canary", want, fence, restore=False)
    await state.serve(SHOP, "canary", (await state.look(SHOP)).wants["canary"], [], ["http://1"], [], fence)
    before = set(fields.keys("traefik/http/services/*"))
    await state.split(SHOP, traffic, NOTE, fence)
    named = {fields.get(it) for it in fields.keys("traefik/http/routers/*/service")}
    after = set(fields.keys("traefik/http/services/*"))
    assert {it for it in after - before if it.split("/")[3] in named} == set()
    assert {it.split("/")[3] for it in before} >= named


WANT = {"digest": "d", "version": "1", "image": "i", "replicas": 1, "progress_at": 0.0}


def app(name: str, environment: str, host: str | None) -> Target:
    return SHOP.model_copy(update={"app": name, "environment": environment, "host": host})


async def released(state: State, target: Target) -> None:
    """A first release: what runs, and then its traffic."""
    fence = (await state.take(target, "release", 60, False)).fence
    await state.want(target, "stable", WANT, fence, restore=False)
    await state.split(target, ALL_TO_STABLE, NOTE, fence)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("shop", "a-b"), ("shop-a", "b")),
        (("shop", "live"), ("shop", "live-canary")),  # a service of the first has the name of the second's
        (("shop", "live-testers"), ("shop", "live")),
        (("shop-live", "mirror"), ("shop", "live")),
    ],
)
async def test_two_apps_whose_keys_have_the_same_names_are_never_at_one_proxy(
    state: State, fields: Any, first: tuple[str, str], second: tuple[str, str]
) -> None:
    one, other = app(*first, "one.localhost"), app(*second, "other.localhost")
    await state.take(other, "waits", 60, False)  # who only wants to begin has nothing yet
    assert await state.rivals(one) == []
    await released(state, one)
    before = {key: fields.get(key) for key in fields.keys("traefik/*")}
    named = f"{second[0]} in {second[1]} and {first[0]} in {first[1]} have keys of the same names"
    ((rival, sentence),) = await state.rivals(other)
    assert not rival.had
    assert sentence.startswith(named)
    with pytest.raises(PlatformError, match=named):
        await state.want(other, "stable", WANT, 1, restore=False)
    assert {key: fields.get(key) for key in fields.keys("traefik/*")} == before
    await released(state, one)


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        ("shop.localhost", "Shop.localhost", "Host(`Shop.localhost`)"),
        (None, None, "PathPrefix(`/`)"),
        (None, "shop", "Host(`shop`)"),  # shorter than the other's rule, which Traefik would ask before
    ],
)
async def test_two_apps_that_take_the_same_requests_are_never_at_one_proxy(
    state: State, first: str | None, second: str | None, rule: str
) -> None:
    await released(state, app("shop", "live", first))
    other = app("cart", "live", second)
    fence = (await state.take(other, "release", 60, False)).fence
    named = f"cart in live and shop in live (router `shop-live`) take the same requests at their proxy, those of {rule}"
    assert [(rival.had, text.startswith(named)) for rival, text in await state.rivals(other)] == [(False, True)]
    with pytest.raises(PlatformError, match=re.escape(named)):
        await state.want(other, "stable", WANT, fence, restore=False)
    await released(state, app("cart", "live", "cart.localhost"))


async def test_a_preview_takes_no_requests_of_another_app(state: State, fields: Any) -> None:
    await released(state, app("shop", "live", "shop.localhost"))
    cart = app("cart", "live", "cart.localhost").model_copy(update={"preview_host": "shop.localhost"})
    assert await state.rivals(cart) == []
    ((_, sentence),) = await state.rivals(cart.model_copy(update={"preview": True}))
    assert "cart in live and shop in live" in sentence


async def test_routers_of_a_team_count_too(state: State, fields: Any) -> None:
    fields.set("traefik/http/routers/legacy/rule", "Host(`shop.localhost`)")
    ((rival, sentence),) = await state.rivals(app("shop", "live", "shop.localhost"))
    assert not rival.had
    assert "shop in live and what no release has made (router `legacy`)" in sentence


async def test_an_app_that_stands_beside_its_rival_already_goes_on(state: State, fields: Any) -> None:
    one, other = app("shop", "a-b", "shop.localhost"), app("shop-a", "b", "shop.localhost")
    await released(state, one)
    fields.hset("release-pipelines/shop-a/b", "written", "{}")  # as an earlier version let it
    fence = (await state.take(other, "release", 60, False)).fence
    assert [rival.had for rival, _ in await state.rivals(other)] == [True]
    assert await state.want(other, "stable", WANT, fence, restore=False)
    moved = other.model_copy(update={"host": "new.localhost"})
    await released(state, app("web", "live", "new.localhost"))
    assert {rival.had for rival, _ in await state.rivals(moved)} == {True, False}
    assert await state.want(moved, "stable", {**WANT, "digest": "e"}, fence, restore=False), (
        "the way back is never refused"
    )


async def test_an_account_that_may_not_list_keys_releases_as_before(state: State, fields: Any, store: str) -> None:
    await released(state, app("shop", "live", "shop.localhost"))
    fields.acl_setuser("few", enabled=True, passwords=["+no-secret"], keys=["*"], channels=["*"],
                       categories=["+@all"], commands=["-scan", "-keys"])  # fmt: skip
    limited = State(store.replace("redis://", "redis://few:no-secret@"))
    try:
        assert await limited.rivals(app("cart", "live", "shop.localhost")) == []
        await released(limited, app("web", "live", "web.localhost"))
    finally:
        await limited.close()
        fields.acl_deluser("few")
