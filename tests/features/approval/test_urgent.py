"""A second person lets an urgent release through closed calendars (R19)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput, TaskDeferred

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.window import WindowRule
from release_pipelines.features.approval.operators import UrgentApprovalOperator
from tests.fakes import NEW, artifact
from tests.features.approval.test_operators import RELEASE, context, make, said

URGENT = {"requester": "alice", "urgent_reason": "the shop is down"}
CLOSED = "{freeze: stocktaking, from: 2020-01-01, to: 2999-01-01}"


@pytest.fixture(autouse=True)
def calendar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path))
    path = tmp_path / "eu.yaml"
    path.write_text(f"time_zone: UTC\nentries:\n- {CLOSED}\n")
    history = HistoryHook().history()
    history.begin(RELEASE, "shop", "release_shop", "approval", "1.1.0", "alice", reason="the shop is down")
    history.record_artifact(RELEASE, artifact())
    return path


def second(approvers: list[str] | None = None, preflight: dict[str, Any] = URGENT) -> Any:
    rule = WindowRule(calendars=["eu"], app="shop", environment="production")
    given: dict[str, Any] = {"rule": rule, "first": "bob", "evidence": {}, "plan": "at once"}
    return make(approvers or ["alice", "bob", "carol"], UrgentApprovalOperator, preflight, **given)


def test_a_second_person_is_asked_with_what_is_overridden_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(*_: Any) -> None:
        raise TaskAwaitingInput(method_name="execute_complete", timeout=None)

    monkeypatch.setattr(HITLOperator, "execute", waits)
    operator = second()
    with pytest.raises(TaskDeferred):
        operator.execute(context())
    assert operator.subject == "Release shop 1.1.0 to production although it is closed?"
    assert operator.body.startswith("**Urgent:** the shop is down")
    assert 'closed: freeze "stocktaking" of calendar eu' in operator.body
    assert "**Who may answer:** carol," in operator.body


def test_the_answer_says_what_was_overridden_and_by_whom() -> None:
    result = second().execute_complete(context(), said("Approve", "carol"))
    assert (result["decision"], result["by"], result["digest"]) == ("approved", "carol", NEW)
    assert result["overridden"].endswith("because: the shop is down; approved by bob and carol")
    events = HistoryHook().history().release(RELEASE).events
    assert any(it.kind == "window" and "approved by bob and carol" in it.sentence for it in events)


def test_a_no_ends_the_release() -> None:
    given = context()
    with pytest.raises(AirflowFailException, match="carol rejected it"):
        second().execute_complete(given, said("Reject", "carol"))
    assert given["ti"].pushed["decision"] == "rejected"


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_neither_who_asked_nor_the_first_approver_is_the_second(by: str) -> None:
    assert by not in second()._allowed(_asked())


def _asked() -> Any:
    from release_pipelines.core.model.person import Asked

    return Asked("alice", None)


def test_nobody_is_asked_where_the_release_is_not_urgent() -> None:
    assert second(preflight={"requester": "alice"}).execute(context()) == {}


def test_nobody_is_asked_while_the_calendars_are_open(calendar: Path) -> None:
    calendar.write_text("time_zone: UTC\nentries:\n- {freeze: old, from: 2020-01-01, to: 2020-01-02}\n")
    assert second().execute(context()) == {}


def test_where_nobody_else_is_left_the_release_keeps_to_its_calendars() -> None:
    assert second(approvers=["alice", "bob"]).execute(context()) == {}
