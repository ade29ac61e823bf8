"""What an answer, a wrong one, or none at all comes to (R10)."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import BaseNotifier, Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput, TaskDeferred

from release_pipelines.adapters.history import HistoryUnavailable
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.people import AuthManager
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.traffic import share_with
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.features.approval.operators import (
    AskingOperator,
    ReleaseApprovalOperator,
    StepApprovalOperator,
    approvals,
    asking,
)
from release_pipelines.features.approval.triggers import ReleaseApprovalTrigger
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


def make(
    approvers: list[Any] | None = None,
    kind: type[AskingOperator] = ReleaseApprovalOperator,
    preflight: dict[str, Any] | None = None,
    **kwargs: Any,
) -> AskingOperator:
    """The question about a release that alice asked for."""
    if kind is ReleaseApprovalOperator:
        kwargs = {"evidence": {}, "plan": "at once", **kwargs}
    return kind(
        task_id="approval",
        target=target(),
        artifact=artifact(),
        approvers=approvers or ["alice", "bob", "carol"],
        preflight=preflight or {"requester": "alice"},
        wait=1800,
        release=RELEASE,
        **kwargs,
    )


def context(try_number: int = 1) -> Any:
    """Airflow's, as far as it is needed."""
    ti = Ti("approval")
    ti.try_number = try_number
    return {
        "ti": ti,
        "dag_run": SimpleNamespace(dag_id="release_shop", run_id="approval", triggering_user_name="alice"),
    }


def ask(
    event: dict[str, Any] | None,
    approvers: list[Any] | None = None,
    kind: type[AskingOperator] = ReleaseApprovalOperator,
    try_number: int = 1,
    **kwargs: Any,
) -> tuple[Any, Ti]:
    """Open the form, or let ``event`` answer it, for a release that alice asked for; gives the result or the failure."""
    operator, given = make(approvers, kind, **kwargs), context(try_number)
    ti = given["ti"]
    try:
        return (operator.execute(given) if event is None else operator.execute_complete(given, event)), ti
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


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The auth manager compares ids, as FAB's does."""
    monkeypatch.setattr(asking, "auth_manager", lambda: AuthManager("FabAuthManager", "ids"))


def waits_again(event: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Let an answer come that does not count; gives what the wait goes on with."""
    history = HistoryHook().history()
    history.begin(RELEASE, "shop", "release_shop", "approval", "1.1.0", "alice")
    before = history.release(RELEASE).approvals
    with pytest.raises(TaskDeferred) as again:
        ask(event, **kwargs)
    assert history.release(RELEASE).approvals == before
    return {**(again.value.kwargs or {}), **again.value.trigger.serialize()[1]}


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize("option", ["Approve", "Reject"])
@pytest.mark.parametrize(("user", "why"), [("alice", "asked for the release"), ("dora", "is no approver")])
def test_an_answer_of_somebody_else_opens_the_form_again(opened: list[str], option: str, user: str, why: str) -> None:
    event = {**said(option, user), "responded_by_user": {"id": "12", "name": user}}
    waits_again(event)
    assert len(opened) == 1
    told = [it for it in HistoryHook().history().release(RELEASE).events if it.kind == "not_counted"][-1]
    assert told.sentence == f"{user} answered `{option}`, which does not count: {user} {why}, bob or carol is expected."


@pytest.mark.usefixtures("ids")
def test_a_form_that_opens_again_ends_when_it_would_have_ended(opened: list[str]) -> None:
    end = "2126-01-01T00:00:00+00:00"
    operator = make()
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(context(), said("Approve", "dora"), until=end)
    assert (again.value.kwargs or {})["until"] == end
    assert again.value.trigger.timeout_datetime == datetime.fromisoformat(end)


@pytest.mark.usefixtures("ids")
def test_an_approver_counts_by_name_id_or_a_name_that_is_an_email() -> None:
    for named, user in (
        ("bob", {"id": "7", "name": "bob"}),
        ("7", {"id": "7", "name": "bob"}),
        ("bob@example.org", {"id": "7", "name": "bob@example.org"}),
        ({"name": "bob", "email": "bob@example.org"}, {"id": "7", "name": "bob"}),
    ):
        event = {**said("Approve", "x"), "responded_by_user": user}
        assert ask(event, approvers=[named])[0]["by"] == user["name"]


def test_a_rejection_has_a_reason_and_a_name() -> None:
    event = {**said("Reject", "bob"), "params_input": {"reason": " wrong prices\n"}}
    failure, _ = ask(event)
    assert str(failure) == "bob rejected it: wrong prices"
    history = HistoryHook().history()
    recorded = history.approval(RELEASE)
    assert recorded is not None
    assert (recorded.decision, recorded.by, recorded.note) == ("rejected", "bob", "wrong prices")
    assert history.release(RELEASE).approver == "bob"


@pytest.mark.parametrize("given", [{"comment": "hm"}, {"reason": 5}, {"reason": None}, {}])
def test_words_of_another_kind_spoil_no_answer(given: dict[str, Any]) -> None:
    assert ask({**said("Approve", "bob"), "params_input": given})[0]["decision"] == "approved"


def test_neither_a_robot_nor_for_whom_it_asks_approves(opened: list[str]) -> None:
    robots = {"preflight": {"requester": "bob@example.org", "started_by": "robot"}}
    form = text_of(approvers=["bob", "carol", "robot"], **robots)
    assert form.startswith("**bob@example.org (started by robot)** asks to release")
    assert "**Who may answer:** carol, until " in form
    assert "bob@example.org and robot cannot give it" in form


def text_of(**kwargs: Any) -> str:
    """The form's text."""
    operator = make(**kwargs)
    with pytest.raises(TaskDeferred):
        operator.execute(context())
    return str(operator.body)


def test_the_form_says_who_may_answer_until_when(opened: list[str]) -> None:
    form = text_of(time_zone="Europe/Berlin")
    assert re.search(
        r"bob or carol, until \d{4}-\d\d-\d\d \d\d:\d\d \(Europe/Berlin\)\. No answer by then is a no", form
    )
    assert "alice cannot give it" in form
    assert "the form opens again" not in form


@pytest.mark.usefixtures("ids")
def test_the_form_says_that_other_answers_do_not_count(opened: list[str]) -> None:
    assert "An answer of anybody else does not count: the form opens again." in text_of()


def test_a_digest_that_was_released_before_shows_what_is_known_of_it(opened: list[str]) -> None:
    history = HistoryHook().history()
    before = "release_shop/before#0"
    history.begin(before, "shop", "release_shop", "before", "1.1.0", "carol")
    history.record_artifact(before, artifact())
    evidence = {"digest": NEW, "results": {"Scan by bandit": "no findings"}}
    history.record_event(before, "evidence", "Scan by bandit: no findings", None, evidence)
    history.finish(before, "rolled_back", "Rolled back 1.1.0 at 10 %: error rate 4.8 %.")
    form = text_of(evidence={"Scan by bandit": "", "App's tests": "None", "Smoke test": "passed"})
    assert re.search(r"\| Scan by bandit \| no findings \(of this digest, .*, in `release_shop/before#0`\) \|", form)
    assert "| App's tests | not checked |" in form
    assert "1.1.0: **rolled back**. Rolled back 1.1.0 at 10 %: error rate 4.8 %." in form
    assert f"- `{NEW}`\n" in form
    kept = HistoryHook().history().evidence_of("shop", NEW, besides="another")
    assert kept["Smoke test"].result == "passed"
    assert kept["Smoke test"].release == RELEASE


def test_a_form_says_of_a_first_release_that_nothing_was_there(opened: list[str]) -> None:
    nothing = {"version": None, "digest": None, "commit": None}
    assert "| Commit | `none` |" in text_of(preflight={"requester": "alice", "before": nothing})
    unknown = {"version": "1.0.0", "digest": NEW, "commit": None}
    assert "| Commit | `not checked` |" in text_of(preflight={"requester": "alice", "before": unknown})


def test_the_form_opens_where_the_history_is_away(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise HistoryUnavailable("The history does not answer.")

    monkeypatch.setattr(approvals, "history_of", away)
    assert "| Scan | clean |" in text_of(evidence={"Scan": "clean"})


class Teller(BaseNotifier):
    """Airflow's notifier, of anybody."""

    def __init__(self, told: list[Any], fails: bool = False) -> None:
        super().__init__()
        self.told = told
        self.fails = fails

    def notify(self, context: Any) -> None:
        if self.fails:
            raise RuntimeError("no network")
        self.told.append(context["waiting"]["waiting"])


def test_people_are_told_that_a_form_waits_and_reminded_once(
    opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    told: list[Any] = []
    operator = make(notifiers=[Teller(told, fails=True), Teller(told)])
    with pytest.raises(TaskDeferred) as waits:
        operator.execute(context())
    remind_at = waits.value.trigger.serialize()[1]["remind_at"]
    assert remind_at == pytest.approx(time.time() + 900, abs=30)  # in the middle of 30 minutes
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(context(), {"remind": True}, **(waits.value.kwargs or {}))
    assert again.value.trigger.serialize()[1]["remind_at"] is None
    assert again.value.kwargs == {**(waits.value.kwargs or {}), "reminded": True}
    assert [(it.who, it.reminder) for it in told] == [("bob or carol", False), ("bob or carol", True)]
    assert told[0].sentence == "Release shop 1.1.0 to production?"
    assert told[0].url == "https://airflow.example/dags/release_shop/runs/approval/tasks/approval/required_actions"


async def test_a_form_that_nobody_answers_reminds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: Any) -> None:
        return None

    monkeypatch.setattr(HITLTrigger, "_handle_response", nothing)
    trigger = ReleaseApprovalTrigger(
        ti_id="00000000-0000-0000-0000-000000000000",
        options=["Approve", "Reject"],
        params={},
        timeout_datetime=None,
        target=to_json(target()),
        release=RELEASE,
        remind_at=time.time() - 1,
    )
    assert (await anext(aiter(trigger.run()))).payload == {"remind": True}


def test_an_approver_sees_that_nothing_will_be_measured(opened: list[str]) -> None:
    history = HistoryHook().history()
    history.begin("release_shop/hurried#0", "shop", "release_shop", "hurried", "1.1.0", "alice")
    assert "will be measured" not in text_of()
    history.command("release_shop/hurried#0", "promote", "bob", "hotfix")
    operator = make()
    operator.release = "release_shop/hurried#0"
    with pytest.raises(TaskDeferred):
        operator.execute(context())
    assert "**Nothing of it will be measured:** every hold is skipped, by the command `promote` (bob: hotfix)." in str(
        operator.body
    )
    assert HistoryHook().history().waits_for_approval("release_shop/hurried#0")


def test_the_form_has_its_own_fields_only() -> None:
    operator = make()
    operator.params = ParamsDict({**operator.params, "version": Param("1.1.0", type="string")})  # as Airflow does it
    assert list(operator.serialized_params) == ["reason"]
    event = {**said("Reject", "bob"), "params_input": {"reason": "wrong prices"}}
    with pytest.raises(AirflowFailException, match="bob rejected it: wrong prices"):
        operator.execute_complete(context(), event)
