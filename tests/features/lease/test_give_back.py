"""The abort guard: what a run that was ended leaves behind (R6, R2)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.core.errors import FenceLost
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, share_with
from release_pipelines.features.lease.operators import GiveBackLeaseOperator
from tests.fakes import GOOD, NEW, FakePlatform, World, artifact, target
from tests.features.helpers import Ti, on_stable

RELEASE = "release_shop/run#0"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A canary of ``RELEASE`` has 10 % of the traffic."""
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    it.runs("stable", artifact("1.0.0", GOOD))
    it.runs("canary", artifact(), 1)
    note = RouteNote(
        release=RELEASE, step="step_10", traffic=share_with("canary", 10), last_good=artifact("1.0.0", GOOD)
    )
    it.route = Route(traffic=share_with("canary", 10), fence=1, note=note)
    it.fence, it.lease = 1, Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60)
    return it


def give_back(world: World) -> tuple[Any, Ti]:
    """Run the task; a deferral is taken to its end."""
    lease = Lease(holder=RELEASE, fence=1, expires_at=0)
    task = GiveBackLeaseOperator(
        task_id="give_back_lease", target=target(), lease=to_json(lease), release=RELEASE, retire_after=0
    )
    ti = Ti()
    context: Any = {"ti": ti}
    try:
        return task.execute(context), ti
    except TaskDeferred as deferred:
        assert on_stable(world)  # safe before anything waits
        assert world.lease
        [event] = events(deferred.trigger)
        return getattr(task, deferred.method_name)(context, event, **deferred.kwargs), ti


def events(trigger: Any) -> list[Any]:
    from release_pipelines.airflow.loop import run

    async def all_of_them() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    return run(all_of_them())


def test_an_unfinished_canary_loses_its_traffic_then_goes_and_then_the_lease_is_free(world: World) -> None:
    result, ti = give_back(world)
    assert [call for call, _ in world.writes] == ["take_lease", "split", "retire", "give_back_lease"]
    assert on_stable(world)
    assert world.lease is None
    assert result == {"returned": "1.0.0"}
    assert ti.pushed["returned"] == "1.0.0"


def test_a_stage_that_begins_while_its_release_is_ended_gives_the_canary_nothing_any_more(world: World) -> None:  # R2
    assert world.lease is not None
    fence, traffic = world.lease.fence, share_with("canary", 10)
    refused = []

    def begin_again(call: str) -> None:
        if call == "split" and not refused:
            refused.append(True)
            with pytest.raises(FenceLost):
                world.platform().split(target(), traffic, RouteNote(release=RELEASE), fence).send(None)

    world.after = begin_again
    give_back(world)
    assert refused
    assert on_stable(world)


def test_a_finished_release_only_gives_the_lease_back(world: World) -> None:
    world.runs("stable", artifact())
    del world.tracks["canary"]
    done = RouteNote(release=RELEASE, step="promoted", traffic=ALL_TO_STABLE, done=True, last_good=artifact())
    world.route = Route(traffic=ALL_TO_STABLE, fence=1, note=done)
    result, _ = give_back(world)
    assert [call for call, _ in world.writes] == ["give_back_lease"]
    assert result == {"returned": None}


def test_a_lease_that_a_newer_release_holds_is_left_alone(world: World) -> None:  # R2
    world.fence, world.lease = 2, Lease(holder="release_shop/newer#0", fence=2, expires_at=time.time() + 60)
    result, _ = give_back(world)
    assert not world.writes
    assert result == {"returned": None}


def test_while_stable_is_being_changed_the_traffic_stays_on_the_canary(world: World) -> None:  # R18
    world.runs("stable", artifact("1.1.0", NEW))
    world.route = Route(traffic=share_with("canary", 100), fence=1, note=RouteNote(release=RELEASE))
    give_back(world)
    assert world.route.traffic.weight("canary") == 100
    assert "canary" in world.tracks
    assert world.lease is None


def test_traffic_that_an_earlier_release_left_on_the_canary_stays_where_it_is(world: World) -> None:  # R18
    note = RouteNote(release="release_shop/earlier#0", step="bake", traffic=share_with("canary", 100))
    world.route = Route(traffic=share_with("canary", 100), fence=1, note=note)
    give_back(world)
    assert world.route.traffic.weight("canary") == 100
    assert world.lease is None


def test_testers_that_an_earlier_release_left_on_the_canary_stay_there(world: World) -> None:  # R18
    traffic = share_with("canary", 0, testers=Match(kind="header", name="x-tester", value="yes"))
    note = RouteNote(release="release_shop/earlier#0", step="testers_1", traffic=traffic)
    world.route = Route(traffic=traffic, fence=1, note=note)
    give_back(world)
    assert world.route.traffic.testers
    assert "canary" in world.tracks
    assert world.lease is None


def test_a_fence_that_a_rollback_renewed_is_no_obstacle(world: World) -> None:  # R2
    world.fence, world.lease = 3, Lease(holder=RELEASE, fence=3, expires_at=time.time() + 60)
    give_back(world)
    assert on_stable(world)
    assert world.lease is None


def rolling(world: World, **given: Any) -> Any:
    """Give back after a rolling release that got half-way."""
    del world.tracks["canary"]
    world.runs("stable", artifact())
    world.route = Route(traffic=ALL_TO_STABLE, fence=1, note=RouteNote(release=RELEASE, step="batch_50"))
    begun = Deployment(
        environment="production",
        platform="container_host",
        track="stable",
        digest=NEW,
        version="1.1.0",
        good=artifact("1.0.0", GOOD),
    )
    lease = Lease(holder=RELEASE, fence=1, expires_at=0)
    task = GiveBackLeaseOperator(
        task_id="give_back_lease",
        target=target(),
        lease=to_json(lease),
        deployment=to_json(begun),
        release=RELEASE,
        **given,
    )
    context: Any = {"ti": Ti()}
    try:
        return task.execute(context)
    except TaskDeferred as deferred:
        [event] = events(deferred.trigger)
        return getattr(task, deferred.method_name)(context, event, **deferred.kwargs)


def test_a_stable_that_was_left_half_rolled_gets_the_good_version_back(world: World) -> None:  # R6
    assert rolling(world) == {"returned": "1.0.0"}
    assert world.tracks["stable"].digest == GOOD
    assert world.lease is None


def test_what_a_rollback_has_decided_about_stable_stays(world: World) -> None:  # R8
    assert rolling(world, plan={"kind": "person"}) == {"returned": None}
    assert world.tracks["stable"].digest == NEW
    assert world.lease is None


def test_a_rollback_that_takes_the_lease_at_the_last_moment_keeps_it(  # R2
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollback = Lease(holder="release_rollback/run#0", fence=7, expires_at=time.time() + 60)
    take = FakePlatform.take_lease

    async def later(self: FakePlatform, *args: Any, **kwargs: Any) -> Lease:
        world.fence, world.lease = rollback.fence, rollback
        return await take(self, *args, **kwargs)

    monkeypatch.setattr(FakePlatform, "take_lease", later)
    result, _ = give_back(world)
    assert result == {"returned": None}
    assert world.lease == rollback
    assert world.writes == []
