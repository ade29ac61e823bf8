"""What a stage's task makes of what its trigger tells (R4, R13)."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from release_pipelines.airflow import operator as base
from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import Route
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.features.promotion.operators import PromoteOperator
from release_pipelines.features.stage import operators
from release_pipelines.features.stage.operators import BakeOperator, CanaryStepOperator, StageOperator
from tests.fakes import GOOD, NEW, World, artifact, target
from tests.features.helpers import Ti

RELEASE = "release_shop/run#0"
ANALYSIS = {"metrics": [{"name": "errors", "source": "errors", "limit": "1%"}]}


class Kept:
    """A history that keeps what it is told."""

    def __init__(self) -> None:
        self.verdicts: list[str] = []
        self.events: list[str] = []

    def record_verdict(self, release: str, environment: str, verdict: Verdict, samples: list[Any]) -> None:
        self.verdicts.append(verdict.sentence)

    def record_event(self, release: str, kind: str, sentence: str, environment: str) -> None:
        self.events.append(sentence)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    it = Kept()
    monkeypatch.setattr(base, "history_of", lambda *_: it)
    return it


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    it.runs("stable", artifact("1.0.0", GOOD), 4)
    it.route = Route(traffic=ALL_TO_STABLE, fence=1)
    it.fence, it.lease = 1, Lease(holder=RELEASE, fence=1, expires_at=0)
    return it


def deployment(**given: Any) -> dict[str, Any]:
    """What the deploying task returned."""
    base: dict[str, Any] = {
        "environment": "production",
        "platform": "container_host",
        "digest": NEW,
        "version": "1.1.0",
    }
    return to_json(Deployment.model_validate({"track": "canary", "good": artifact("1.0.0", GOOD), **base, **given}))


def task(kind: type[StageOperator] = CanaryStepOperator, **given: Any) -> StageOperator:
    if kind is CanaryStepOperator:
        given = {"weight": 50, **given}
    if kind is not StageOperator:
        given = {"hold": 60, "analysis": ANALYSIS, **given}
    lease = Lease(holder=RELEASE, fence=1, expires_at=0)
    shared = {
        "target": target(),
        "artifact": artifact(),
        "lease": lease,
        "deployment": deployment(),
        "release": RELEASE,
    }
    return kind(task_id="step", **{**shared, **given})


def deferred(it: Any) -> dict[str, Any]:
    """The arguments of the trigger that the task waits for."""
    context: Any = {"ti": Ti()}
    with pytest.raises(TaskDeferred) as caught:
        it.execute(context)
    return dict(caught.value.trigger.serialize()[1])


def told(event: dict[str, Any], **given: Any) -> tuple[Any, Ti]:
    """What the task makes of an event."""
    ti = Ti()
    context: Any = {"ti": ti, "dag_run": SimpleNamespace()}
    try:
        return task(**given).decided(context, event), ti
    except AirflowFailException as failure:
        return failure, ti


def event(judgement: str, sentence: str, **more: Any) -> dict[str, Any]:
    verdict = {"judgement": judgement, "decided_at": 1.0, "step": "step", "weight": 50, "sentence": sentence}
    return {"verdict": verdict, "samples": [], "notes": [], "aborted": None, "controls": [], **more}


def test_a_step_asks_for_the_capacity_of_its_weight(world: World) -> None:  # R5
    given = deferred(task())
    assert (given["replicas"], given["stage"]["traffic"]["weights"]) == (2, {"stable": 50, "canary": 50})
    assert given["previous"]["version"] == "1.0.0"


def test_a_stage_has_its_traffic_before_the_triggerer_has_its_trigger(world: World) -> None:
    world.runs("canary", artifact(), 2)
    deferred(task())
    assert world.route is not None
    assert world.route.traffic.weight("canary") == 50
    assert (world.route.note.release, world.route.note.step) == (RELEASE, "step")
    assert world.route.note.started_at is not None
    world.writes.clear()
    deferred(task())  # the task was tried again
    assert world.writes == []


@pytest.mark.parametrize("kind", ["pause", "abort", "promote"])
def test_what_a_person_has_said_is_left_to_the_trigger(world: World, kind: Any) -> None:
    release = f"release_shop/{kind}#0"
    history = HistoryHook().history()
    history.begin(release, "shop", "release_shop", kind, "1.1.0", "alice")
    number = history.command(release, kind, "bob", "wait").id
    world.runs("canary", artifact(), 2)
    world.lease = Lease(holder=release, fence=1, expires_at=0)
    deferred(task(release=release))
    assert world.writes == []
    assert [it.effect for it in history.commands(release) if it.id == number] == [None]


@pytest.mark.parametrize("ready", [0, 1])
def test_replicas_that_are_missing_are_left_to_the_trigger(world: World, ready: int) -> None:  # R5
    world.runs("canary", artifact(), ready or 1)
    if not ready:
        world.breaks("canary")
    deferred(task())
    assert world.writes == []


def test_a_hold_may_end_early(world: World) -> None:
    given = deferred(task(hold={"min": 10, "max": 60}))
    assert given["stage"]["hold"] == {"min": 10, "max": 60}


def test_a_step_of_a_first_release_has_nothing_to_split(world: World) -> None:  # R17
    context: Any = {"ti": Ti()}
    assert task(deployment=deployment(track="stable", first=True)).execute(context) is None


def test_the_bake_of_a_first_release_watches_stable(world: World) -> None:  # R17
    given = deferred(task(BakeOperator, deployment=deployment(track="stable", first=True)))
    assert (given["stage"]["track"], given["stage"]["traffic"]) == ("stable", None)


def test_a_batch_says_its_share_and_what_goes_back(world: World) -> None:
    batch = Stage(name="batch_25", track="stable", share=25, hold={"min": 1, "max": 1}, analysis=ANALYSIS)
    given = deferred(task(StageOperator, stage=batch, deployment=deployment(track="stable")))
    assert (given["stage"]["share"], given["previous"]["digest"]) == (25, GOOD)


def test_a_lease_that_is_lost_is_named_before_anything_is_begun(world: World) -> None:  # R2
    world.lease = Lease(holder="release_rollback/manual#0", fence=2, expires_at=0)
    context: Any = {"ti": Ti()}
    with pytest.raises(AirflowFailException, match="release_rollback/manual#0 holds it"):
        task().execute(context)


def test_a_passing_verdict_is_kept_and_given_on(kept: Kept) -> None:
    result, ti = told(event("pass", "error rate 0 %", notes=["Drift: argocd set it; set again."]))
    assert result["judgement"] == "pass"
    assert ti.pushed["verdict"]["weight"] == 50
    assert (kept.verdicts, kept.events) == (["error rate 0 %"], ["Drift: argocd set it; set again."])


def test_a_failing_verdict_fails_the_task_with_its_sentence(kept: Kept) -> None:  # R13
    failure, ti = told(event("fail", "error rate 5 %, limit 1 %"))
    assert str(failure) == ti.pushed["reason"] == "error rate 5 %, limit 1 %"
    assert ti.pushed["verdict"]["judgement"] == "fail"


def test_what_could_not_be_measured_goes_on_where_the_team_says_so(kept: Kept) -> None:  # R3
    result, _ = told(event("inconclusive", "nothing was counted"), analysis={**ANALYSIS, "on_inconclusive": "continue"})
    assert result["judgement"] == "inconclusive"


def test_a_person_who_aborts_is_named_and_the_verdict_is_kept(kept: Kept) -> None:  # R13
    failure, ti = told(event("fail", "alice aborted it", aborted={"by": "alice", "reason": "wrong price list"}))
    assert str(failure) == "alice aborted it: wrong price list"
    assert ti.pushed["aborted"] == {"by": "alice", "reason": "wrong price list"}
    assert kept.verdicts


def test_what_the_platform_refuses_is_the_reason() -> None:  # R12
    failure, _ = told({"error": "The lease is held by nobody.", "kind": "FenceLost"})
    assert str(failure) == "The lease is held by nobody."


@pytest.mark.parametrize("track", ["canary", "preview", "stable"])
def test_the_track_that_held_is_promoted(world: World, track: Any) -> None:  # R18
    world.runs(track, artifact())
    world.route = Route(traffic=share_with(track, 100), fence=1)
    it = PromoteOperator(task_id="promote", target=target(), artifact=artifact(), lease=world.lease, release=RELEASE)
    assert deferred(it)["track"] == track


def test_what_did_not_hold_is_not_promoted(world: World) -> None:  # R1
    context: Any = {"ti": Ti()}
    it = PromoteOperator(task_id="promote", target=target(), artifact=artifact(), lease=world.lease, release=RELEASE)
    with pytest.raises(AirflowFailException, match="nothing was changed"):
        it.execute(context)


def test_a_way_back_that_does_not_get_through_calls_people_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, world: World
) -> None:  # R4
    called: list[str] = []
    monkeypatch.setattr(operators, "alarm", lambda *given: called.append(given[-1]))
    production: Any = SimpleNamespace(name="production")
    assert deferred(task(environment=production))["calls_people"]
    stuck = {"error": "The traffic has not moved.", "kind": "TrafficStuck"}
    context: Any = {"ti": Ti(), "dag_run": SimpleNamespace()}
    with pytest.raises(TaskDeferred) as again:
        task(environment=production).decided(context, stuck)
    assert called == ["The traffic has not moved."]
    assert not again.value.trigger.serialize()[1]["calls_people"], "people are called once"


def test_a_stage_that_waits_for_a_person_is_told_and_waits_on(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    told: list[Any] = []
    monkeypatch.setattr(operators, "ask", lambda *given: told.append(given[-1]))
    production: Any = SimpleNamespace(name="production", approvers=["bob", "carol"])
    assert deferred(task(environment=production))["tell_at"] == 0.0
    assert deferred(task())["tell_at"] is None  # nobody who would be told is known
    HistoryHook().history().begin(RELEASE, "shop", "release_shop", "run", "1.1.0", "alice")
    context: Any = {"ti": Ti("production.step_10"), "dag_run": SimpleNamespace(dag_id="release_shop", run_id="run")}
    for _ in range(2):
        with pytest.raises(TaskDeferred) as again:
            task(environment=production).decided(context, {"waits": "error rate 4.8 %, limit 1 %.", "notes": []})
        given = again.value.trigger.serialize()[1]
        assert given["calls_people"]
        assert given["tell_at"] > time.time() + 3600
    assert told[0].sentence == (
        "step waits for a person: error rate 4.8 %, limit 1 %. Skip it to go on, abort it to go back."
    )
    assert [(it.who, it.reminder) for it in told] == [("bob or carol", False), ("bob or carol", True)]
