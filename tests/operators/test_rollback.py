"""Whether and how a release goes back, decided from what really runs (R8)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from release_pipelines.domain.values import Artifact, Deployment, Lease, Route, RouteNote, Verdict, to_json
from release_pipelines.hooks import platform as hook
from release_pipelines.operators import rollback
from release_pipelines.operators.rollback import RollbackPlanOperator
from tests.fakes import GOOD, NEW, World, artifact, target

RELEASE = "release_shop/run#0"
VERDICT = Verdict(judgement="fail", decided_at=1.0, step="step_10", weight=10, sentence="error rate 5 %, limit 1 %")


class Ti:
    task_id = "rollback.plan"

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


class Told:
    """A history that knows 1.0.0 as good, and keeps what it is told."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def history(self) -> Told:
        return self

    def last_good(self, *_: Any, **__: Any) -> Artifact:
        return artifact("1.0.0", GOOD)

    def record_event(self, release: str, kind: str, *_: Any) -> None:
        self.kept.append(kind)

    def record_verdict(self, release: str, environment: str, verdict: Verdict, samples: list[Any]) -> None:
        self.kept.append(verdict.sentence)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    it = Told()
    monkeypatch.setattr(rollback, "HistoryHook", lambda: it)
    return it


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    for name in ("PLATFORM", "REGISTRY"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": "generic"}))
    return it


def plan() -> Ti:
    done = Deployment(environment="production", platform="container_host", track="canary", digest=NEW, version="1.1.0")
    ti = Ti()
    context: Any = {"ti": ti}
    RollbackPlanOperator(task_id="plan", target=target(), deployment=to_json(done), release=RELEASE).execute(context)
    return ti


def test_clearing_the_plan_of_a_release_that_was_promoted_changes_nothing(world: World, told: Told) -> None:  # R1
    world.runs("stable", artifact())
    note = RouteNote(release=RELEASE, step="promoted", weight=0, done=True, last_good=artifact())
    world.route = Route(weights={"stable": 100, "canary": 0}, fence=1, note=note)
    with pytest.raises(AirflowSkipException, match="release an older version"):
        plan()
    assert not world.writes
    assert not told.kept  # or the history would take the version for bad


def test_a_verdict_after_which_a_person_ended_the_step_is_kept(world: World, told: Told) -> None:  # R13, R18
    world.runs("stable", artifact("1.0.0", GOOD))
    world.runs("canary", artifact(), 1)
    world.fence, world.lease = 1, Lease(holder=RELEASE, fence=1, expires_at=time.time() + 60)
    note = RouteNote(release=RELEASE, step="step_10", weight=0, verdict=VERDICT)
    world.route = Route(weights={"stable": 100, "canary": 0}, fence=1, note=note)
    ti = plan()
    assert ti.pushed["verdict"]["sentence"] == VERDICT.sentence
    assert told.kept == [VERDICT.sentence, "rollback"]
