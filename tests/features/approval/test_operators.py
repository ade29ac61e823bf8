"""What an answer, a wrong one, or none at all comes to (R10)."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput, TaskDeferred

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.traffic import share_with
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.features.approval.operators import AskingOperator, ReleaseApprovalOperator, StepApprovalOperator
from tests.fakes import GOOD, NEW, artifact, target
from tests.features.helpers import Ti

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


def ask(
    event: dict[str, Any] | None,
    approvers: list[str] | None = None,
    kind: type[AskingOperator] = ReleaseApprovalOperator,
    try_number: int = 1,
    **kwargs: Any,
) -> tuple[Any, Ti]:
    """Open the form, or let ``event`` answer it, for a release that alice asked for; gives the result or the failure."""
    if kind is ReleaseApprovalOperator:
        kwargs = {"evidence": {}, "plan": "at once", **kwargs}
    operator = kind(
        task_id="approval",
        target=target(),
        artifact=artifact(),
        approvers=approvers or ["alice", "bob", "carol"],
        preflight={"requester": "alice"},
        wait=1800,
        release=RELEASE,
        **kwargs,
    )
    ti = Ti()
    ti.try_number = try_number
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


BY_ALICE = {"by": "alice", "reason": "wrong price list"}
STEP = Stage(
    name="step_10",
    track="canary",
    traffic=share_with("canary", 10),
    hold={"min": 1, "max": 1},
    analysis={"metrics": [{"name": "errors", "source": "errors", "limit": "1%"}]},
)
DEPLOYED = Deployment(
    environment="production",
    platform="container_host",
    track="canary",
    digest=NEW,
    version="1.1.0",
    previous_version="1.0.0",
    good=artifact("1.0.0", GOOD),
)


def middle(event: dict[str, Any] | None, deployment: Deployment = DEPLOYED) -> tuple[Any, Ti]:
    """Ask while the canary has 10 % of the traffic."""
    lease = Lease(holder=RELEASE, fence=7, expires_at=0)
    return ask(event, kind=StepApprovalOperator, lease=lease, deployment=deployment, stage=STEP)


@pytest.mark.parametrize("asked", [ask, middle])
def test_a_person_who_aborts_ends_the_wait(asked: Any) -> None:
    failure, ti = asked({"aborted": BY_ALICE})
    assert str(failure) == "alice aborted it: wrong price list"
    assert ti.pushed["aborted"] == BY_ALICE
    assert "decision" not in ti.pushed  # nobody has rejected it


def test_a_version_that_turns_bad_while_a_person_thinks_ends_the_wait() -> None:  # R4
    verdict = Verdict(judgement="fail", decided_at=1.0, step="step_10", weight=10, sentence="error rate 5 %, limit 1 %")
    failure, ti = middle({"verdict": to_json(verdict), "samples": []})
    assert str(failure) == "error rate 5 %, limit 1 %"
    assert ti.pushed["verdict"]["weight"] == 10


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subjects of the forms that were opened."""
    subjects: list[str] = []

    def waits(operator: HITLOperator, _: Any) -> None:
        subjects.append(operator.subject)
        raise TaskAwaitingInput(method_name="execute_complete", timeout=None)

    monkeypatch.setattr(HITLOperator, "execute", waits)
    return subjects


def test_a_wait_in_the_middle_goes_on_watching_the_version(opened: list[str]) -> None:
    with pytest.raises(TaskDeferred) as caught:
        middle(None)
    given = caught.value.trigger.serialize()[1]
    assert (given["stage"]["name"], given["fence"], given["release"]) == ("step_10", 7, RELEASE)
    with pytest.raises(TaskDeferred):
        ask(None)
    assert opened == ["Let shop 1.1.0 go on in production?", "Release shop 1.1.0 to production?"]


def test_an_answer_is_not_thrown_away_when_airflow_tries_the_question_again(opened: list[str]) -> None:  # R10
    with pytest.raises(TaskDeferred) as caught:
        ask(None, try_number=2)
    assert opened == []  # an open form keeps its answer; opening it again would not
    assert (caught.value.trigger.serialize()[1]["release"], caught.value.method_name) == (RELEASE, "execute_complete")
    assert ask(said("Approve", "bob"), try_number=2)[0]["by"] == "bob"


def test_a_question_that_is_tried_again_and_has_no_form_opens_it(opened: list[str]) -> None:
    with pytest.raises(TaskDeferred) as caught:
        ask({"unasked": True}, try_number=2)
    assert len(opened) == 1
    assert caught.value.method_name == "execute_complete"


def test_a_first_release_asks_nobody_in_the_middle() -> None:  # R17
    assert middle(None, DEPLOYED.model_copy(update={"first": True}))[0] == {"decision": "approved", "by": None}
