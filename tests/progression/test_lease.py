"""The release's heartbeat, and who waits for its end."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.triggers import LeaseFreeTrigger, RolloutTrigger, WatchTrigger
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.features.lease.triggers import HoldLeaseTrigger
from tests.fakes import GOOD, NEW, FakePrometheus, World, artifact, target
from tests.progression.helpers import (
    RELEASE,
    again,
    command,
    digests,
    effect,
    event,
    promotion,
    released,
    stage,
    step,
    until,
)
from tests.progression.scenes import after_a_stage


def heartbeat(world: World) -> HoldLeaseTrigger:
    """Renews the lease that the world has."""
    assert world.lease
    return HoldLeaseTrigger(target=to_json(target()), lease=to_json(world.lease), ttl=60)


async def test_the_lease_is_renewed_until_it_is_given_back(world: World) -> None:  # R2
    released(world)
    world.lease = Lease(holder=RELEASE, fence=1, expires_at=time.time() + 1)
    holding = asyncio.create_task(event(heartbeat(world)))
    await until(lambda: bool(world.lease) and world.lease.expires_at > time.time() + 30)
    await world.platform().give_back_lease(target(), world.lease)
    assert await asyncio.wait_for(holding, 60) == {"given_back": True}
    assert world.lease is None


async def test_a_lease_that_was_taken_by_force_ends_the_heartbeat_with_the_taker(world: World) -> None:  # R2
    released(world)
    holding = asyncio.create_task(event(heartbeat(world)))
    await until(lambda: "renew_lease" in world.calls)
    await world.platform().take_lease(target(), "release_shop/rollback", 60, force=True)
    assert await asyncio.wait_for(holding, 60) == {"taken_by": "release_shop/rollback"}


async def test_a_heartbeat_that_starts_again_goes_on(world: World) -> None:  # R6
    released(world)
    trigger = heartbeat(world)
    first = asyncio.create_task(event(trigger))
    await until(lambda: "renew_lease" in world.calls)
    first.cancel()
    world.calls.clear()
    second = asyncio.create_task(event(again(trigger)))
    await until(lambda: "renew_lease" in world.calls)
    assert not second.done()
    second.cancel()


async def test_who_waits_for_a_lease_goes_on_when_it_is_given_back(world: World) -> None:  # R2
    released(world)
    waiting = asyncio.create_task(event(LeaseFreeTrigger(target=to_json(target()))))
    await until(lambda: "observe" in world.calls)
    assert not waiting.done()
    assert world.lease
    await world.platform().give_back_lease(target(), world.lease)
    assert await asyncio.wait_for(waiting, 60) == {"free": True}


async def test_an_expired_lease_is_free(world: World) -> None:  # R2
    released(world)
    world.lease = Lease(holder="gone", fence=1, expires_at=time.time() - 1)
    assert await event(LeaseFreeTrigger(target=to_json(target()))) == {"free": True}


async def test_a_rollout_is_advanced_until_it_is_settled(world: World) -> None:  # R7
    released(world)
    await world.platform().deploy(target(), "canary", artifact(), 3, 1)
    said = await event(RolloutTrigger(target=to_json(target()), track="canary", fence=1))
    assert said["status"]["settled"]
    assert said["status"]["ready"] == 3


async def test_a_rollout_that_cannot_succeed_ends_with_the_reason(world: World) -> None:  # R7
    released(world)
    world.broken[NEW] = "no such image"
    await world.platform().deploy(target(), "canary", artifact(), 1, 1)
    said = await event(RolloutTrigger(target=to_json(target()), track="canary", fence=1))
    assert said["status"]["failure"] == "no such image"


async def test_who_only_watches_changes_nothing(world: World) -> None:  # R7
    released(world)
    said = await event(WatchTrigger(target=to_json(target()), track="stable"))
    assert said["status"]["digest"] == GOOD
    assert not world.writes


def judging_heartbeat(world: World, **changed: Any) -> HoldLeaseTrigger:
    """A heartbeat that knows the release's stages."""
    assert world.lease
    stages = [to_json(stage(**changed)), to_json(stage("step_50", 50))]
    return HoldLeaseTrigger(
        target=to_json(target()), lease=to_json(world.lease), ttl=60, artifact=to_json(artifact()), stages=stages
    )


def events(kind: str) -> list[str]:
    """What the history has of this kind."""
    return [it.sentence for it in HistoryHook().history().release(RELEASE).events if it.kind == kind]


async def test_a_version_that_turns_bad_between_two_stages_loses_its_traffic_although_no_task_runs(
    world: World, prometheus: FakePrometheus
) -> None:  # R4, R6
    command("pause")
    after_a_stage(world, "canary", 10, "step_10")
    beating = asyncio.create_task(event(judging_heartbeat(world)))
    prometheus.bad = 0.2
    await until(lambda: world.weight == 0)
    assert world.note.verdict
    assert "error rate 20 %" in world.note.verdict.sentence
    later = await event(step(name="step_50", weight=50))
    assert later["verdict"]["sentence"] == world.note.verdict.sentence
    assert later["verdict"]["weight"] == 10, "it never had more"
    assert world.weight == 0
    await until(lambda: bool(events("taken_back")))
    assert "while no task of the release ran: error rate 20 %" in events("taken_back")[0]
    assert not beating.done()
    beating.cancel()


async def test_a_version_whose_replicas_die_between_two_stages_loses_its_traffic(
    world: World, prometheus: FakePrometheus
) -> None:  # R5
    after_a_stage(world, "canary", 10, "step_10")
    beating = asyncio.create_task(event(judging_heartbeat(world)))
    await until(lambda: "renew_lease" in world.calls)
    world.breaks("canary", "OOMKilled")
    await until(lambda: world.weight == 0)
    beating.cancel()


async def test_a_stage_whose_own_task_judges_it_is_left_to_that(world: World, prometheus: FakePrometheus) -> None:
    released(world)
    beating = asyncio.create_task(event(judging_heartbeat(world)))
    said = await event(step(hold=0.5))
    assert said["verdict"]["judgement"] == "pass"
    assert world.weight == 10
    beating.cancel()


async def test_nobody_takes_traffic_back_to_a_stable_that_is_being_replaced(
    world: World, prometheus: FakePrometheus
) -> None:  # R18
    after_a_stage(world, "canary", 100, "step_10")
    world.runs("stable", artifact())
    beating = asyncio.create_task(event(judging_heartbeat(world)))
    prometheus.bad = 0.2
    await until(lambda: world.calls.count("observe") > 3)
    assert world.weight == 100
    beating.cancel()


async def test_a_version_that_turned_bad_while_its_promotion_was_waited_for_is_not_promoted(world: World) -> None:
    after_a_stage(world, "canary", 100, "bake")
    assert world.route
    failed = Verdict(judgement="fail", decided_at=time.time(), step="bake", weight=100, sentence="error rate 5 %")
    note = world.note.model_copy(update={"verdict": failed, "traffic": ALL_TO_STABLE})
    world.route = world.route.model_copy(update={"note": note, "traffic": ALL_TO_STABLE})
    assert await event(promotion()) == {"failure": "error rate 5 %"}
    assert digests(world)["stable"] == GOOD


async def test_a_span_in_which_nobody_watched_is_recorded_with_the_traffic_of_the_time(
    world: World, prometheus: FakePrometheus
) -> None:  # R6, R13
    command("pause")
    after_a_stage(world, "canary", 10, "step_10")
    assert world.route
    assert world.lease
    note = world.note.model_copy(update={"started_at": time.time() - 200})
    world.route = world.route.model_copy(update={"note": note})
    world.lease = world.lease.model_copy(update={"expires_at": time.time() - 30})  # renewed last 90 seconds ago
    beating = asyncio.create_task(event(judging_heartbeat(world)))
    await until(lambda: "renew_lease" in world.calls)
    [told] = events("unwatched")
    assert re.fullmatch(
        r"Nobody watched from .* to .* UTC \(9\d s\): Airflow was away; the canary had 10 % of the traffic\.", told
    )
    beating.cancel()


async def test_who_stands_in_stops_when_stable_is_being_replaced_and_takes_no_abort(
    world: World, prometheus: FakePrometheus
) -> None:  # R18
    stage_100 = {"name": "step_10", "weight": 100}
    after_a_stage(world, "canary", 100, "step_10")
    beating = asyncio.create_task(event(judging_heartbeat(world, **stage_100)))
    before = world.calls.count("observe")
    await until(lambda: world.calls.count("observe") > before + 5)  # it judges
    world.tracks["stable"] = world.tracks["stable"].model_copy(
        update={"digest": NEW, "version": "1.1.0", "settled": False}
    )
    prometheus.bad = 0.2
    number = command("abort")
    before = world.calls.count("observe")
    await until(lambda: world.calls.count("observe") > before + 10)
    assert world.weight == 100
    assert effect(number) is None
    beating.cancel()
