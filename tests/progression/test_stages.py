"""Stages of every strategy, evidence that goes on from one to the next, and what people do to them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.progression import heartbeat as beating
from release_pipelines.features.lease.triggers import HoldLeaseTrigger
from tests.fakes import GOOD, NEW, FakePrometheus, World, artifact, target
from tests.progression.helpers import (
    RELEASE,
    again,
    command,
    command_at,
    effect,
    event,
    promotion,
    released,
    splits,
    step,
    until,
    weights,
)
from tests.progression.scenes import LONG, TESTERS, after_a_stage

OLD = artifact("1.0.0", GOOD)
SEQUENTIAL = {"judge": "sequential"}


async def test_a_preview_gets_all_traffic_in_one_write_and_loses_it_in_one(
    world: World, prometheus: FakePrometheus
) -> None:  # R4
    released(world, canary=True, track="preview")
    bake = step(name="bake", track="preview", weight=100, hold=LONG, replicas=2, last=True)
    baking = asyncio.create_task(event(bake))
    await until(lambda: weights(world, "preview") == [100])
    prometheus.bad = 0.2
    assert (await asyncio.wait_for(baking, 60))["verdict"]["weight"] == 100
    assert weights(world, "preview") == [100, 0]
    assert world.tracks["stable"].digest == GOOD


async def test_a_batch_replaces_its_share_and_leaves_the_rest(world: World, prometheus: FakePrometheus) -> None:
    released(world)
    said = await event(step(name="batch_50", track="stable", share=50))
    assert said["verdict"]["judgement"] == "pass"
    stable = world.tracks["stable"]
    assert (stable.digest, stable.updated, stable.wanted) == (NEW, 1, 2)
    assert all(it.same(ALL_TO_STABLE) for it in splits(world))


async def test_a_batch_that_fails_states_the_old_version_before_airflow_hears_of_it(
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:  # R4, R8
    released(world)
    prometheus.is_new = lambda query: True  # type: ignore[method-assign]
    prometheus.bad = 0.2
    async for said in step(name="batch_50", track="stable", share=50, hold=LONG).run():
        assert world.tracks["stable"].digest == GOOD
        assert said.payload["verdict"]["judgement"] == "fail"


async def test_a_paused_batch_replaces_no_more_replicas_until_somebody_resumes(
    world: World, prometheus: FakePrometheus
) -> None:
    released(world)
    world.runs("stable", OLD, 4)
    world.slow.add("stable")
    rolling = asyncio.create_task(event(step(name="bake", track="stable", last=True)))
    await until(lambda: world.tracks["stable"].digest == NEW)
    number = command("pause")
    await until(lambda: world.shares["stable"] < 100)
    world.slow.clear()
    looks = world.calls.count("advance")
    await until(lambda: world.calls.count("advance") > looks + 5)
    assert world.tracks["stable"].updated == 1  # a share of nothing is not to be had: one replica
    await until(lambda: bool(effect(number)))
    command("resume")
    assert (await asyncio.wait_for(rolling, 60))["verdict"]["judgement"] == "pass"
    assert world.tracks["stable"].updated == 4


async def test_a_batch_is_not_begun_while_the_release_is_paused(world: World, prometheus: FakePrometheus) -> None:
    released(world)
    command("pause")
    rolling = asyncio.create_task(event(step(name="batch_50", track="stable", share=50)))
    await until(lambda: world.calls.count("advance") > 3)
    assert world.tracks["stable"].digest == GOOD
    rolling.cancel()


async def test_what_a_person_lets_on_after_it_was_put_back_is_rolled_out_again(
    world: World, prometheus: FakePrometheus
) -> None:  # R18
    released(world)
    prometheus.is_new = lambda query: True  # type: ignore[method-assign]
    prometheus.bad = 0.2
    bake = step(name="bake", track="stable", hold=LONG, last=True, wait_for_person=True)
    baking = asyncio.create_task(event(bake))
    await until(lambda: world.note.verdict is not None)
    await until(lambda: world.tracks["stable"].digest == GOOD and world.tracks["stable"].settled)
    assert not baking.done()
    command("skip")
    said = await asyncio.wait_for(baking, 60)
    assert said["verdict"]["judgement"] == "pass"
    assert said["verdict"]["evidence"] == {}
    assert (world.tracks["stable"].digest, world.tracks["stable"].settled) == (NEW, True)


@pytest.mark.parametrize(("what", "more"), [("testers", {"testers": TESTERS}), ("mirror", {"mirror": 20})])
async def test_testers_and_copies_reach_a_canary_without_weight_and_no_more_when_it_fails(
    world: World, prometheus: FakePrometheus, what: str, more: dict[str, Any]
) -> None:  # R4
    released(world, canary=True)
    traffic = {"weights": {"stable": 100, "canary": 0}, **more}
    watching = asyncio.create_task(event(step(name=f"{what}_1", traffic=traffic, hold=LONG)))
    await until(lambda: bool(splits(world)))
    assert getattr(splits(world)[0], what)
    prometheus.bad = 0.2
    await asyncio.wait_for(watching, 60)
    assert splits(world)[-1].same(ALL_TO_STABLE)


BASELINE = {"weights": {"stable": 80, "canary": 10, "baseline": 10}}


async def test_a_fresh_baseline_runs_the_old_version_and_is_ready_before_it_gets_traffic(
    world: World, prometheus: FakePrometheus
) -> None:  # R5
    released(world, canary=True)
    said = await event(step(traffic=BASELINE, replicas=2))
    assert said["verdict"]["judgement"] == "pass"
    baseline = world.tracks["baseline"]
    assert (baseline.digest, baseline.ready) == (GOOD, 2)
    assert [call for call, _ in world.writes][:3] == ["deploy", "deploy", "split"]


async def test_a_baseline_that_dies_loses_its_traffic(world: World, prometheus: FakePrometheus) -> None:  # R5
    released(world, canary=True)
    watching = asyncio.create_task(event(step(traffic=BASELINE, hold=LONG)))
    await until(lambda: bool(splits(world)))
    world.breaks("baseline")
    said = await asyncio.wait_for(watching, 60)
    assert "no replica of the baseline" in said["verdict"]["sentence"]
    assert splits(world)[-1].same(ALL_TO_STABLE)


async def test_evidence_goes_on_from_stage_to_stage(world: World, prometheus: FakePrometheus) -> None:  # R3
    released(world, canary=True)
    first = (await event(step(analysis=SEQUENTIAL)))["verdict"]["evidence"]
    assert first["errors"]
    await event(step(name="step_50", weight=50, analysis=SEQUENTIAL))
    assert world.note.evidence == first
    assert world.note.verdict
    assert world.note.verdict.evidence != first


async def test_what_testers_showed_is_no_evidence_for_the_rest(world: World, prometheus: FakePrometheus) -> None:
    released(world, canary=True)
    traffic = {"weights": {"stable": 100, "canary": 0}, "testers": TESTERS}
    assert (await event(step(name="testers_1", traffic=traffic, analysis=SEQUENTIAL)))["verdict"]["evidence"]
    await event(step(analysis=SEQUENTIAL))
    assert world.note.evidence == {}


async def test_a_stage_that_is_promoted_over_changes_nothing_and_the_bake_ends_at_once(
    world: World, prometheus: FakePrometheus
) -> None:
    released(world, canary=True)
    command("promote")
    assert await event(step(hold=LONG)) == {"hurried": "bob: enough seen"}
    assert not world.writes
    said = await event(step(name="bake", weight=100, hold=LONG, last=True))
    assert said["verdict"]["judgement"] == "pass"
    assert 'bob ("enough seen") ended the hold early: ' in said["verdict"]["sentence"]


async def test_a_hold_that_is_cut_short_goes_back_when_the_version_is_known_to_be_bad(
    world: World, prometheus: FakePrometheus
) -> None:  # R4
    released(world, canary=True)
    prometheus.bad = 0.2
    watching = asyncio.create_task(
        event(
            step(
                hold=LONG,
                analysis={
                    "metrics": [{"name": "errors", "source": "errors", "limit": 0.01, "failure_limit": 0}],
                    "interval": 0.5,
                },
            )
        )
    )
    await until(lambda: world.note.started_at is not None)
    await asyncio.sleep(0.6)
    command("skip")
    said = await asyncio.wait_for(watching, 60)
    assert said["verdict"]["judgement"] == "fail"
    assert world.weight == 0


async def test_a_pause_stops_the_clock_and_not_the_judge(world: World, prometheus: FakePrometheus) -> None:
    released(world, canary=True)
    command("pause")  # before: the traffic is not raised
    watching = asyncio.create_task(event(step(hold=0.3)))
    await until(lambda: "advance" in world.calls)
    await asyncio.sleep(0.1)
    assert not weights(world)
    command_at(world, 10, "pause", reason="lunch")
    command("resume")
    await until(lambda: world.note.paused_at is not None)
    await asyncio.sleep(0.5)
    assert not watching.done()
    prometheus.bad = 0.2
    assert (await asyncio.wait_for(watching, 60))["verdict"]["judgement"] == "fail"
    assert world.weight == 0


async def test_a_pause_outlives_a_restart(world: World, prometheus: FakePrometheus) -> None:  # R6
    released(world, canary=True)
    trigger = step(hold=0.3)
    command_at(world, 10, "pause")
    first = asyncio.create_task(event(trigger))
    await until(lambda: world.note.paused_at is not None)
    first.cancel()
    second = asyncio.create_task(event(again(trigger)))
    await asyncio.sleep(0.5)
    assert not second.done()
    command("resume")
    assert (await asyncio.wait_for(second, 60))["verdict"]["judgement"] == "pass"
    assert world.note.paused_for > 0.4


async def test_a_stable_that_cannot_take_the_traffic_leaves_it_where_it_is(
    world: World, prometheus: FakePrometheus
) -> None:  # R5
    released(world, canary=True)
    watching = asyncio.create_task(event(step(name="bake", weight=100, hold=LONG, last=True)))
    await until(lambda: world.weight == 100)
    world.breaks("stable")
    number = command("abort")
    said = await asyncio.wait_for(watching, 60)
    assert "the traffic stays where it is" in said["verdict"]["sentence"]
    assert said["aborted"] == {"by": "bob", "reason": "enough seen"}
    assert "the traffic stays where it is" in (effect(number) or "")
    assert world.weight == 100


async def test_an_abort_that_was_written_before_a_restart_is_told_with_its_name(
    world: World, prometheus: FakePrometheus
) -> None:  # R6
    released(world, canary=True)
    trigger = step(hold=LONG)
    command("abort")
    assert (await event(trigger))["aborted"]
    assert (await event(again(trigger)))["aborted"] == {"by": "bob", "reason": "enough seen"}


async def test_an_abort_in_time_ends_a_promotion_that_has_nothing_to_do(
    world: World, prometheus: FakePrometheus
) -> None:
    released(world)
    world.runs("stable", artifact())
    command("abort")
    assert await event(promotion(track="stable")) == {"aborted": {"by": "bob", "reason": "enough seen"}}
    assert not world.note.done
    assert world.tracks["stable"].digest == GOOD


async def test_an_outage_raises_no_traffic_that_somebody_has_stopped_meanwhile(
    world: World, prometheus: FakePrometheus
) -> None:
    from release_pipelines.core.errors import PlatformUnavailable

    released(world, canary=True)
    away = [True]

    def before(call: str) -> None:
        if call == "split" and away[0]:
            raise PlatformUnavailable("The engine does not answer.")

    world.before = before
    watching = asyncio.create_task(event(step(hold=LONG)))
    await until(lambda: "split" in world.calls)
    number = command("pause")
    await until(lambda: bool(effect(number)))
    away[0] = False
    await asyncio.sleep(0.2)
    assert not weights(world)
    watching.cancel()


# --- the heartbeat ------------------------------------------------------------------------------------------------


def beats(world: World) -> HoldLeaseTrigger:
    """The release's heartbeat."""
    return HoldLeaseTrigger(target=to_json(target()), lease=to_json(world.lease), ttl=60)  # type: ignore[arg-type]


async def test_between_two_stages_the_heartbeat_takes_the_traffic_back(world: World) -> None:
    after_a_stage(world, "canary", 50, "step_50")
    heartbeat = asyncio.create_task(event(beats(world)))
    number = command("abort")
    await until(lambda: world.weight == 0)
    await until(lambda: effect(number) == "All traffic is back on stable.")
    heartbeat.cancel()


async def test_the_stage_that_comes_after_tells_who_aborted(world: World, prometheus: FakePrometheus) -> None:
    after_a_stage(world, "canary", 50, "step_50")
    heartbeat = asyncio.create_task(event(beats(world)))
    command("abort")
    await until(lambda: world.weight == 0)
    said = await event(step(name="bake", weight=100, hold=LONG, last=True))
    assert said["aborted"] == {"by": "bob", "reason": "enough seen"}
    assert set(weights(world)) == {0}
    heartbeat.cancel()


async def test_a_stage_whose_abort_the_heartbeat_heard_first_is_aborted_all_the_same(
    world: World, prometheus: FakePrometheus
) -> None:
    released(world, canary=True)
    watching = asyncio.create_task(event(step(hold=LONG)))
    await until(lambda: world.weight == 10)
    note = RouteNote(release=RELEASE, step="aborted", traffic=ALL_TO_STABLE, started_at=time.time())
    command("abort")
    await world.platform().split(target(), ALL_TO_STABLE, note, 1)
    assert (await asyncio.wait_for(watching, 60))["aborted"] == {"by": "bob", "reason": "enough seen"}
    assert world.weight == 0


async def test_a_stable_that_is_being_changed_gets_no_traffic_from_the_heartbeat(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:  # R18
    monkeypatch.setattr(beating, "TAKE_UP_SECONDS", 0.05)
    after_a_stage(world, "canary", 100, "bake")
    await world.platform().deploy(target(), "stable", artifact(), None, 1)
    heartbeat = asyncio.create_task(event(beats(world)))
    command("abort")
    await until(lambda: world.calls.count("observe") > 2)
    assert world.weight == 100
    heartbeat.cancel()


async def test_a_running_hold_answers_for_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "TAKE_UP_SECONDS", 0.05)
    after_a_stage(world, "canary", 10, "step_10")
    assert world.route
    running = world.note.model_copy(update={"verdict": None})
    world.route = world.route.model_copy(update={"note": running})
    heartbeat = asyncio.create_task(event(beats(world)))
    number = command("skip")
    await until(lambda: world.calls.count("observe") > 2)
    assert effect(number) is None
    heartbeat.cancel()
