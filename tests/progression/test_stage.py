"""A stage of any strategy: judged, and taken back at once when it is bad."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest

from release_pipelines.core.errors import Forbidden, PlatformUnavailable
from release_pipelines.core.model.observation import Usage
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.progression import waiting
from tests.fakes import GOOD, NEW, FakePrometheus, World, artifact, target
from tests.progression.helpers import again, command, event, released, run_with_a_crash, step, until, weights


async def test_a_good_canary_passes_at_the_end_of_its_hold(world: World, prometheus: FakePrometheus) -> None:  # R3
    said = await event(step(hold=0.2))
    assert said["kind"] == "FenceLost"  # nothing holds the lease yet
    said = await event(step()) if released(world) else {}
    assert said["verdict"]["judgement"] == "pass"
    assert world.weight == 10
    assert world.note.verdict
    assert world.note.verdict.judgement == "pass"
    assert [sample["metric"] for sample in said["samples"]] == ["errors"] * len(said["samples"])
    assert said["samples"][0]["stable_total"] == 1000


async def test_capacity_is_raised_before_weight(world: World, prometheus: FakePrometheus) -> None:  # R5
    released(world)
    await event(step(replicas=3))
    assert [call for call, _ in world.writes][:2] == ["deploy", "split"]
    assert world.tracks["canary"].ready == 3


async def test_a_failing_verdict_returns_the_traffic_before_airflow_hears_of_it(
    world: World, prometheus: FakePrometheus
) -> None:  # R4
    released(world, canary=True)
    prometheus.bad = 0.2
    seen = []
    async for said in step(hold=30).run():
        seen.append((world.weight, world.note.verdict, said.payload))
    [(weight, verdict, payload)] = seen
    assert weight == 0
    assert verdict is not None
    assert verdict.judgement == "fail"
    assert payload["verdict"]["sentence"] == verdict.sentence
    assert payload["verdict"]["accepted_at"] >= payload["verdict"]["decided_at"]
    assert weights(world) == [10, 0]  # one write for verdict and weights
    assert "error rate 20 % over 1,000 requests, limit 1 % (stable: 0 %)" in verdict.sentence  # R13


async def test_one_bad_measurement_is_tolerated(world: World, prometheus: FakePrometheus) -> None:  # R3
    released(world, canary=True)
    prometheus.bad = 0.2

    def better(query: str) -> None:
        if "canary" in query and len({at for _, at in prometheus.asked}) > 1:
            prometheus.bad = 0.0

    prometheus.answered = better
    said = await event(step(hold=0.3))
    assert said["verdict"]["judgement"] == "pass"


@pytest.mark.parametrize(("what", "total"), [("no series", None), ("too few requests", 3.0)])
async def test_a_canary_with_no_traffic_is_inconclusive_and_goes_back(
    world: World, prometheus: FakePrometheus, what: str, total: float | None
) -> None:  # R3
    released(world, canary=True)
    prometheus.total = total
    said = await event(step())
    assert said["verdict"]["judgement"] == "inconclusive"
    assert "could not measure" in said["verdict"]["sentence"]
    assert world.weight == 0


async def test_an_inconclusive_step_may_go_on(world: World, prometheus: FakePrometheus) -> None:  # R3
    released(world, canary=True)
    prometheus.total = None
    said = await event(step(analysis={"on_inconclusive": "continue"}))
    assert said["verdict"]["judgement"] == "inconclusive"
    assert world.weight == 10


async def test_a_metrics_service_that_is_away_is_an_error_and_says_nothing_about_the_app(
    world: World, prometheus: FakePrometheus
) -> None:  # R3
    released(world, canary=True)
    prometheus.away = True
    said = await event(step(analysis={"error_limit": 0}))  # a slow machine measures once only
    assert said["verdict"]["judgement"] == "error"
    assert "could not measure" in said["verdict"]["sentence"]
    assert world.weight == 0
    assert all(sample["error"] for sample in said["samples"])


async def test_a_canary_that_dies_goes_back_without_waiting_for_a_measurement(
    world: World, prometheus: FakePrometheus
) -> None:  # R5
    released(world, canary=True)
    watching = asyncio.create_task(event(step(hold=30)))
    await until(lambda: world.weight == 10)
    world.breaks("canary", "shop-canary-1 was OOMKilled 3 times")
    said = await asyncio.wait_for(watching, 60)
    assert said["verdict"]["judgement"] == "fail"
    assert "OOMKilled" in said["verdict"]["sentence"]
    assert world.weight == 0


async def test_a_canary_that_never_becomes_ready_gets_no_traffic(world: World, prometheus: FakePrometheus) -> None:
    released(world)  # R5, R7
    world.broken[NEW] = "crash loop: no module named shop"
    said = await event(step())
    assert said["verdict"]["judgement"] == "fail"
    assert "crash loop" in said["verdict"]["sentence"]
    assert set(weights(world)) == {0}


async def test_drift_is_noticed_named_and_reasserted(world: World, prometheus: FakePrometheus) -> None:  # R14
    released(world, canary=True)
    watching = asyncio.create_task(event(step(hold=0.4)))
    await until(lambda: world.weight == 10)
    world.drift(70)
    await until(lambda: world.weight == 10)
    said = await watching
    assert said["verdict"]["judgement"] == "pass"
    assert "argocd set the canary's weight to 70 %" in said["notes"][0]
    assert re.match(r"Drift, seen at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: ", said["notes"][0])


async def test_drift_ends_a_release_that_wants_it_so(world: World, prometheus: FakePrometheus) -> None:  # R14
    released(world, canary=True)
    watching = asyncio.create_task(event(step(hold=30, on_drift="abort")))
    await until(lambda: world.weight == 10)
    world.drift(70)
    said = await asyncio.wait_for(watching, 60)
    assert said["verdict"]["judgement"] == "fail"
    assert "argocd" in said["verdict"]["sentence"]
    assert world.weight == 0


async def test_another_digest_on_the_canary_is_no_canary_of_this_release(
    world: World, prometheus: FakePrometheus
) -> None:  # R1, R14
    released(world, canary=True)
    watching = asyncio.create_task(event(step(hold=30)))
    await until(lambda: world.weight == 10)
    world.runs("canary", artifact("9.9.9", "sha256:" + "9" * 64), 1)
    said = await asyncio.wait_for(watching, 60)
    assert said["verdict"]["judgement"] == "fail"
    assert world.weight == 0


async def test_who_lost_the_fence_ends_with_an_error_and_writes_nothing(
    world: World, prometheus: FakePrometheus
) -> None:  # R2
    released(world, canary=True)
    watching = asyncio.create_task(event(step(hold=30)))
    await until(lambda: world.weight == 10)
    await world.platform().take_lease(step().target, "rollback", 60, force=True)
    before = len(world.writes)
    said = await asyncio.wait_for(watching, 60)
    assert said["kind"] == "FenceLost"
    assert "rollback" in said["error"]
    assert len(world.writes) == before


async def test_a_step_whose_release_went_back_meanwhile_sets_no_weight_again(
    world: World, prometheus: FakePrometheus
) -> None:  # R6: its task was marked as failed, and the rollback was faster than the triggerer
    released(world, canary=True)
    watching = asyncio.create_task(event(step(hold=30)))
    await until(lambda: world.weight == 10)
    back = world.note.model_copy(update={"step": "rollback", "traffic": ALL_TO_STABLE, "verdict": None})
    await world.platform().split(target(), ALL_TO_STABLE, back, 1)
    said = await asyncio.wait_for(watching, 60)
    assert said["kind"] == "FenceLost"
    assert "gone on from step_10 to rollback" in said["error"]
    assert world.weight == 0


async def test_a_canary_that_dies_while_its_capacity_is_raised_goes_back(
    world: World, prometheus: FakePrometheus
) -> None:  # R5
    released(world, canary=True, weight=5, step="step_5")

    def dies(call: str) -> None:
        if call == "advance":  # which starts one replica, and it dies as the others did
            world.tracks["canary"] = world.tracks["canary"].model_copy(update={"updated": -1, "settled": False})

    world.before = dies
    said = await asyncio.wait_for(event(step(replicas=9)), 60)
    assert said["verdict"]["judgement"] == "fail"
    assert world.weight == 0


async def test_a_canary_that_failed_before_its_step_began_is_said_again_without_old_measurements(
    world: World, prometheus: FakePrometheus
) -> None:  # R6
    released(world)
    long_ago = world.note.model_copy(update={"release": "release_shop/older#0", "started_at": 1_000_000.0})
    await world.platform().split(target(), ALL_TO_STABLE, long_ago, 1)
    world.broken[NEW] = "the image does not start"
    trigger = step(analysis={"interval": 3600})
    assert (await event(trigger))["verdict"]["sentence"] == "the image does not start"
    said = await event(again(trigger))
    assert said["verdict"]["sentence"] == "the image does not start"
    assert said["samples"] == []


async def test_a_bad_canary_goes_back_while_its_replicas_cannot_be_seen(
    world: World, prometheus: FakePrometheus
) -> None:  # R4
    released(world, canary=True)
    looked = 0

    def called(call: str) -> None:
        nonlocal looked
        if call == "split" and world.weight == 0:
            prometheus.bad = 0.2
        if call in ("observe", "usage"):
            looked += 1
            if looked > 1:
                raise PlatformUnavailable("The engine does not answer.")

    world.before = called
    said = await event(step(hold=30))
    assert said["verdict"]["judgement"] == "fail"
    assert "error rate" in said["verdict"]["sentence"]
    assert world.weight == 0


async def test_a_platform_that_is_away_is_asked_again(world: World, prometheus: FakePrometheus) -> None:  # R6
    released(world, canary=True)
    away = {"observe": 2, "split": 2, "deploy": 1, "advance": 1}

    def sometimes(call: str) -> None:
        if away.get(call):
            away[call] -= 1
            raise PlatformUnavailable("The engine does not answer.")

    world.before = sometimes
    said = await event(step())
    assert said["verdict"]["judgement"] == "pass"
    assert not any(away.values())


async def test_missing_rights_end_the_step_with_their_name(world: World, prometheus: FakePrometheus) -> None:
    released(world, canary=True)

    def refused(call: str) -> None:
        if call == "split":
            raise Forbidden("May not patch httproutes in shop.")

    world.before = refused
    said = await event(step())
    assert said == {"error": "May not patch httproutes in shop.", "kind": "Forbidden"}


async def test_a_first_release_watches_stable(world: World, prometheus: FakePrometheus) -> None:  # R17
    released(world)
    world.runs("stable", artifact())
    said = await event(step(name="bake", track="stable", last=True))
    assert said["verdict"]["judgement"] == "pass"
    assert world.weight == 0
    assert "canary" not in world.tracks
    assert all("canary" not in query for query, _ in prometheus.asked)


async def test_cpu_comes_from_the_platform_where_it_has_it(world: World, prometheus: FakePrometheus) -> None:
    released(world, canary=True)
    world.usage = Usage(cpu=0.95, memory=0.1)
    said = await event(step(analysis={"metrics": [{"name": "cpu", "source": "cpu", "limit": 0.8}]}))
    assert said["verdict"]["judgement"] == "fail"
    assert "CPU 95 %, limit 80 %" in said["verdict"]["sentence"]
    assert not prometheus.asked


async def test_without_auto_rollback_the_traffic_returns_and_a_person_decides(
    world: World, prometheus: FakePrometheus
) -> None:  # R18
    released(world, canary=True)
    prometheus.bad = 0.2
    watching = asyncio.create_task(event(step(hold=30, wait_for_person=True)))
    await until(lambda: bool(world.note.verdict))
    assert world.weight == 0
    await asyncio.sleep(0.1)
    assert not watching.done()
    watching.cancel()


async def test_who_waits_for_a_person_waits_on_after_a_restart(
    world: World, prometheus: FakePrometheus
) -> None:  # R6, R18
    released(world, canary=True)
    prometheus.bad = 0.2
    trigger = step(hold=30, wait_for_person=True)
    first = asyncio.create_task(event(trigger))
    await until(lambda: bool(world.note.verdict))
    first.cancel()
    second = asyncio.create_task(event(again(trigger)))
    await asyncio.sleep(0.2)
    assert not second.done()
    assert world.weight == 0
    second.cancel()


async def test_who_waits_for_a_person_says_so_with_the_traffic_back_and_waits_on(
    world: World, prometheus: FakePrometheus
) -> None:  # R4, R18
    released(world, canary=True)
    prometheus.bad = 0.2
    trigger = step(hold=30, wait_for_person=True)
    trigger.arguments["tell_at"] = 0.0
    said = await event(trigger)
    assert "limit 1 %" in said["waits"]
    assert world.weight == 0
    trigger.arguments["tell_at"] = time.time() + 60
    second = asyncio.create_task(event(again(trigger)))
    await asyncio.sleep(0.2)
    assert not second.done()
    second.cancel()


async def test_whoever_lets_a_bad_version_go_on_is_named_with_what_was_measured(
    world: World, prometheus: FakePrometheus
) -> None:  # R13, R18
    released(world, canary=True)
    prometheus.bad = 0.2
    watching = asyncio.create_task(event(step(hold=30, wait_for_person=True)))
    await until(lambda: bool(world.note.verdict))
    command("skip")
    sentence = (await watching)["verdict"]["sentence"]
    assert sentence.startswith('bob ("enough seen") let it go on although it did not pass: error rate 20 %'), sentence


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize(("bad", "judgement", "weight"), [(0.0, "pass", 10), (0.2, "fail", 0)])
async def test_killed_anywhere_a_step_ends_as_it_would_have(
    world: World, prometheus: FakePrometheus, bad: float, judgement: str, weight: int, number: int, after: bool
) -> None:  # R6
    released(world)
    prometheus.bad = bad
    trigger = step(hold=0.25 if judgement == "pass" else 30)
    said = await run_with_a_crash(world, trigger, number, after=after)
    assert said["verdict"]["judgement"] == judgement
    assert world.weight == weight
    assert world.note.verdict
    assert world.note.verdict.judgement == judgement
    assert world.tracks["stable"].digest == GOOD


async def test_after_a_restart_the_clock_and_the_times_of_the_measurements_are_the_same(
    world: World, prometheus: FakePrometheus
) -> None:  # R6
    released(world, canary=True)
    trigger = step(hold=0.4)
    first = asyncio.create_task(event(trigger))
    await until(lambda: len(prometheus.asked) > 6)
    first.cancel()
    began = world.note.started_at
    asked = {at for _, at in prometheus.asked}
    said = await event(again(trigger))
    assert world.note.started_at == began
    assert asked <= {at for _, at in prometheus.asked}
    assert {round(sample["at"], 3) for sample in said["samples"]} >= asked


async def test_a_verdict_that_was_reached_before_a_restart_is_said_again(
    world: World, prometheus: FakePrometheus
) -> None:  # R6
    released(world, canary=True)
    prometheus.bad = 0.2
    trigger = step(hold=30, analysis={"interval": 0.5})
    said = await event(trigger)
    prometheus.bad = 0.0
    before = len(world.writes)
    repeated = await event(again(trigger))
    assert repeated["verdict"]["sentence"] == said["verdict"]["sentence"]
    assert len(repeated["samples"]) == len(said["samples"])
    assert len(world.writes) == before


async def test_two_triggers_at_once_are_harmless(world: World, prometheus: FakePrometheus) -> None:  # R6
    released(world)
    prometheus.bad = 0.2
    trigger = step(hold=30)
    both = await asyncio.gather(event(trigger), event(again(trigger)))
    assert {said["verdict"]["judgement"] for said in both} == {"fail"}
    assert world.weight == 0
    assert set(weights(world)) <= {0, 10}


async def test_a_thousandth_canary_shares_the_answer_to_the_same_question(
    world: World, prometheus: FakePrometheus
) -> None:
    from release_pipelines.adapters.metrics.prometheus import PrometheusReader

    reader = PrometheusReader(prometheus.url, {})
    answers = await asyncio.gather(*(reader.query("up", 1.0) for _ in range(50)))
    assert answers == [1000.0] * 50
    assert len(prometheus.asked) == 1


def test_what_a_trigger_is_made_of_is_json() -> None:
    path, arguments = step().serialize()
    assert path == "release_pipelines.features.stage.triggers.StageTrigger"
    assert again(step()).serialize()[1] == json.loads(json.dumps(arguments))


async def test_after_an_abort_a_write_that_did_not_get_through_is_not_made_up_for(  # R6
    world: World, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "RETRY_SECONDS", 0.5)  # longer than commands are kept, as it is outside of tests
    released(world, canary=True)
    running = asyncio.create_task(event(step(hold=30)))
    await until(lambda: world.weight == 10)
    before, given = len(weights(world)), list[int]()

    def away(call: str) -> None:
        if call == "split" and not given:
            given.append(command("abort"))
            raise PlatformUnavailable("The engine does not answer.")

    world.before = away
    await asyncio.to_thread(command, "pause")
    assert (await running)["aborted"]["by"] == "bob"
    assert given
    assert set(weights(world)[before:]) == {0}
