"""What an answer, a wrong one, or none at all comes to (R10)."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.hooks.history import HistoryHook
from release_pipelines.operators.approval import ReleaseApprovalOperator
from tests.fakes import NEW, artifact, target
from tests.operators.helpers import Ti

RELEASE = "release_shop/approval#0"
LATE = {"error": "The timeout has passed.", "error_type": "timeout"}


def said(option: str, by: str) -> dict[str, Any]:
    """What Airflow tells of an answer."""
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": datetime.now(timezone.utc),
        "responded_by_user": {"id": by, "name": by},
    }


def ask(event: dict[str, Any] | None, approvers: list[str] | None = None, **kwargs: Any) -> tuple[Any, Ti]:
    """Open the form, or let ``event`` answer it, for a release that alice asked for; gives the result or the failure."""
    operator = ReleaseApprovalOperator(
        task_id="approval",
        artifact=artifact(),
        target=target(),
        approvers=approvers or ["alice", "bob", "carol"],
        preflight={"requester": "alice"},
        evidence={},
        plan="at once",
        wait=1800,
        release=RELEASE,
        **kwargs,
    )
    ti = Ti()
    run = SimpleNamespace(dag_id="release_shop", run_id="approval", triggering_user_name="alice")
    context: Any = {"ti": ti, "dag_run": run}
    try:
        return (operator.execute(context) if event is None else operator.execute_complete(context, event)), ti
    except AirflowFailException as failure:
        return failure, ti


@pytest.mark.parametrize(
    ("event", "decision", "reason"),
    [
        (said("Reject", "bob"), "rejected", "bob rejected it"),
        (LATE, "expired", "no answer by bob or carol within 30 min"),
        (
            said("Approve", "alice"),
            "rejected",
            "alice asked for the release and cannot approve it: bob or carol is expected",
        ),
    ],
)
def test_what_is_no_approval_says_why_and_is_recorded(event: dict[str, Any], decision: str, reason: str) -> None:
    failure, ti = ask(event)
    assert isinstance(failure, AirflowFailException)
    assert ti.pushed == {"decision": decision, "reason": reason}
    recorded = HistoryHook().history().approval(RELEASE)
    assert recorded is not None
    assert (recorded.decision, recorded.digest) == (decision, NEW)


def test_an_approval_binds_to_the_digest() -> None:
    assert ask(said("Approve", "bob"))[0] == {"decision": "approved", "by": "bob", "digest": NEW}
    recorded = HistoryHook().history().approval(RELEASE)
    assert recorded is not None
    assert (recorded.decision, recorded.by, recorded.digest) == ("approved", "bob", NEW)


def test_one_pair_of_eyes_will_do_where_the_app_says_so() -> None:
    assert ask(said("Approve", "alice"), self_approval=True)[0]["by"] == "alice"


def test_a_release_that_nobody_else_may_approve_fails_before_it_asks() -> None:
    failure, _ = ask(None, approvers=["alice"])
    assert str(failure) == (
        "Nobody is left who may approve: alice asked for the release and is the only approver. "
        "Name another one in `approvers` of production."
    )
