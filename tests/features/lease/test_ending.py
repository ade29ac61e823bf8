"""A release of single operators ends in the history, although no task of its run says what it came to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.features.lease import operators
from tests.features.helpers import Ti

RELEASE = "model_canary/run"


def ends(
    monkeypatch: pytest.MonkeyPatch,
    failed: str | None = None,
    returned: str | None = None,
    holder: str = RELEASE,
    ended: str | None = "success",
    **more: str,
) -> Any:
    """What the history says when the lease is given back."""

    def task(name: str, kind: str) -> Any:
        return SimpleNamespace(task_id=name, task_type=kind, is_teardown=kind == "GiveBackLeaseOperator")

    tasks = {"step_20": "CanaryStepOperator", "promote": "PromoteOperator", **more}
    dag = SimpleNamespace(tasks=[task(name, kind) for name, kind in tasks.items()])
    monkeypatch.setattr(operators, "_works", lambda task: task.task_type not in operators.BESIDE)
    monkeypatch.setattr(
        operators, "task_states", lambda context, ids: {it: "failed" if it == failed else ended for it in ids}
    )
    ti = Ti()
    ti.pushed["reason"] = "the image does not exist."
    operators.end({"ti": ti}, dag, RELEASE, "models", holder, returned)  # type: ignore[typeddict-item]
    detail = HistoryHook().history().release(RELEASE)
    return detail.outcome, detail.sentence


@pytest.fixture(autouse=True)
def _begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    HistoryHook().history().begin(RELEASE, "model", "model_canary", "run", "2.0.0", "ann")


def judged(judgement: Any) -> None:
    verdict = Verdict(
        judgement=judgement, decided_at=1e9, step="step_20", weight=20, sentence="4.8 % errors, limit 1 %."
    )
    HistoryHook().history().record_verdict(RELEASE, "models", verdict, [])


def test_what_was_promoted_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    HistoryHook().history().promoted(RELEASE)
    assert ends(monkeypatch) == ("released", "Released 2.0.0: it serves all traffic in models and held.")


def test_what_it_came_to_is_the_runs_note(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[str, str]] = []
    monkeypatch.setattr(operators, "note_now", lambda *given: noted.append(given))
    HistoryHook().history().promoted(RELEASE)
    ends(monkeypatch)
    assert noted == [(RELEASE, "Released 2.0.0: it serves all traffic in models and held.")]


def test_what_failed_its_verdict_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    judged("fail")
    sentence = "Rolled back 2.0.0 at 20 %: 4.8 % errors, limit 1 %, traffic is back on 1.0.0."
    assert ends(monkeypatch, "step_20", "1.0.0") == ("rolled_back", sentence)


def test_what_a_person_ended_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    HistoryHook().history().command(RELEASE, "abort", "bob", "wrong weights.")
    assert ends(monkeypatch, "step_20", "1.0.0") == (
        "aborted", "Aborted 2.0.0: bob: wrong weights, traffic is back on 1.0.0.",
    )  # fmt: skip


def test_what_failed_before_it_was_judged_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(monkeypatch, "step_20") == ("failed", "Failed 2.0.0: the image does not exist.")


def test_who_took_over_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = ends(monkeypatch, holder="release_rollback/one#0")
    assert said == ("superseded", "Superseded 2.0.0: release_rollback/one#0 has taken over.")


def test_a_release_that_another_task_ends_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(monkeypatch, "step_20", outcome="RecordOutcomeOperator") == (None, None)


def test_a_release_whose_other_environment_is_still_to_come_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(monkeypatch, ended=None, give_back="GiveBackLeaseOperator") == (None, None)
    assert ends(monkeypatch, give_back="GiveBackLeaseOperator", hold="HoldLeaseOperator")[0] == "released"


def test_a_release_of_an_apps_own_dag_goes_on_when_staging_gives_its_lease_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = f"{RELEASE}#0"
    HistoryHook().history().begin(own, "model", "release_model", "run", "2.0.0", "ann")
    dag = SimpleNamespace(tasks=[])  # a task's process knows its own operator only
    operators.end({"ti": Ti()}, dag, own, "staging", own, None)  # type: ignore[typeddict-item]
    assert HistoryHook().history().release(own).outcome is None


def test_a_release_that_nobody_knows_is_not_made() -> None:
    operators.end({"ti": Ti()}, SimpleNamespace(tasks=[]), "other/run", "models", None, None)  # type: ignore[typeddict-item]
    assert [it.id for it in HistoryHook().history().releases()] == [RELEASE]
