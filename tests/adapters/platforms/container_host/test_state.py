"""What the store keeps of an app, also when another version of this package has written it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from release_pipelines.adapters.platforms.container_host import state as states
from release_pipelines.adapters.platforms.container_host.state import KnownApp, State
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE
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
