"""A question to people: who may answer it until when, what an answer comes to, and who is told that it waits (R10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from release_pipelines.airflow.ending import noted, task_url
from release_pipelines.airflow.links import tell_links
from release_pipelines.airflow.notes import note_waiting
from release_pipelines.airflow.notifiers.waiting import WAITING
from release_pipelines.airflow.operator import RUN, as_value, checked_event, explained, history_of, recorded_verdict
from release_pipelines.airflow.people import AuthManager, assigned_users, auth_manager
from release_pipelines.core.approvers import allowed_approvers, approves_alone, in_words, is_one_of
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.notice import Waiting
from release_pipelines.core.model.person import Asked, Identity, Person
from release_pipelines.core.model.target import Target
from release_pipelines.core.text import clean, one_line
from release_pipelines.features.approval.form import moment, who_may_answer
from release_pipelines.features.approval.triggers import ReleaseApprovalTrigger

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier, Context

Decision = Literal["approved", "rejected", "expired"]

SUBJECT_LIMIT, BODY_LIMIT = 250, 20_000
"""Maximum lengths of a question's subject and text, in characters: notes and evidence come from outside."""
REMIND_SECONDS = 4 * 3600.0
"""Maximum time until people are reminded of a question, in seconds; a shorter wait has its reminder in the middle."""
WHY = "reason"
"""The form's field for words of whoever answers."""


class AskingOperator(ApprovalOperator):
    """Base: named people answer a question about an artifact, and the answer binds to its digest.

    Waits without a worker slot. Whoever asked for the release, or started its run, is taken out of the approvers before the form
    opens, unless ``self_approval``. Where Airflow's auth manager compares ids that no task knows, Airflow lets everybody answer; an
    answer of anybody else does not count, is recorded, and the form opens again. A rejection and a timeout fail the task for
    good, with XCom ``decision`` saying ``rejected`` or ``expired``; so does a person who aborts the release meanwhile (XCom
    ``aborted``). Answers are recorded in the history, with the words of who gave them.

    :param target: the app in its environment: a :class:`~release_pipelines.core.model.target.Target` or its dict.
    :param artifact: the :class:`~release_pipelines.core.model.artifact.Artifact` that is asked about.
    :param approvers: who may answer: names, ids or e-mails, or a :class:`~release_pipelines.core.model.person.Person` with
        several of them, or its dict.
    :param self_approval: whether the requester may answer too.
    :param wait: seconds until no answer counts as ``expired``.
    :param preflight: what :class:`~release_pipelines.features.preflight.operators.PreflightOperator` returned: requester, what runs
        now, the way back, notes.
    :param release: the release's id.
    :param time_zone: of times in the form, like ``Europe/Berlin``.
    :param notifiers: Airflow's notifiers. They are told when the form has opened and once more when it waits long; one that fails is
        noted in the log.
    """

    template_fields: tuple[str, ...] = ("subject", "body", "artifact", "preflight", "release")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        approvers: Sequence[str | Person | dict[str, Any]],
        preflight: Any,
        self_approval: bool = False,
        wait: float = 86400.0,
        release: str = RUN,
        time_zone: str = "UTC",
        **kwargs: Any,
    ) -> None:
        words = Param(
            None,
            type=["null", "string"],
            title="Reason",
            description="Why, in a few words: kept in the history, and the requester sees it. A rejection should have one.",
            source="task",
        )
        params = {WHY: words, **(kwargs.pop("params", None) or {})}
        super().__init__(fail_on_reject=True, response_timeout=timedelta(seconds=wait), params=params, **kwargs)
        self.fields = tuple(params)
        self.target = target
        self.artifact = artifact
        self.approvers = [Person.model_validate(it) if isinstance(it, dict) else it for it in approvers]
        self.preflight = preflight
        self.self_approval = self_approval
        self.wait = wait
        self.release = release
        self.time_zone = time_zone

    @property
    def serialized_params(self) -> dict[str, dict[str, Any]]:
        """The form's fields. When a task runs, Airflow adds those of the DAG's own form, which are nobody's business here."""
        return {name: it for name, it in super().serialized_params.items() if name in self.fields}

    def form(self, artifact: Artifact, target: Target, preflight: dict[str, Any]) -> tuple[str, str]:
        """The question's subject and text.

        :param artifact: the artifact that is asked about.
        :param target: the app in its environment.
        :param preflight: what preflight returned, as a dict.
        """
        raise NotImplementedError

    def look_up(self, context: Context, artifact: Artifact) -> None:
        """Look up what the form shows beside what the operator was given; called before the form is made."""

    def judging_arguments(self, target: Target, artifact: Artifact) -> dict[str, Any]:
        """Arguments with which the trigger judges the version meanwhile; empty where none runs yet."""
        return {}

    def _question(self) -> tuple[Artifact, Target, dict[str, Any]]:
        import json

        preflight = json.loads(self.preflight) if isinstance(self.preflight, str) else self.preflight
        return (
            as_value(Artifact, self.artifact, "the artifact"),
            as_value(Target, self.target, "target"),
            preflight or {},
        )

    def _allowed(self, asked: Asked) -> list[str | Person]:
        """The people who may answer."""
        return allowed_approvers(self.approvers, *asked, self_approval=self.self_approval)

    def execute(self, context: Context) -> Any:
        """Open the form; tried again, take the answer that may be there already.

        Airflow can take an answer that comes at once for a crash of the process that asked, and tries the task again. Asking
        again would throw the answer away.
        """
        with explained(context):
            artifact, target, preflight = self._question()
            if context["ti"].try_number > 1:
                self._wait(context, artifact, target, self._end())
            return self._ask(context, artifact, target, preflight)

    def _end(self) -> datetime:
        return datetime.now(timezone.utc) + timedelta(seconds=self.wait)

    def _ask(
        self,
        context: Context,
        artifact: Artifact,
        target: Target,
        preflight: dict[str, Any],
        until: datetime | None = None,
        *,
        reminded: bool = False,
    ) -> Any:
        """Open the form; again where ``until`` is given: the end of time that it had."""
        asked, manager = who_asked(preflight), auth_manager()
        allowed = self._allowed(asked)
        if not allowed and not self.self_approval:
            raise AirflowFailException(
                f"Nobody is left who may approve: {asked} asked for the release and is the only approver. "
                f"Name another one in `approvers` of {target.environment}."
            )
        end = until or self._end()
        self.assigned_users = assigned_users(allowed, manager)
        self.look_up(context, artifact)
        subject, body = self.form(artifact, target, preflight)
        body += "\n\n" + who_may_answer(
            allowed,
            moment(end.timestamp(), self.time_zone),
            asked,
            alone=self.self_approval,
            by_airflow=self._compared(manager),
        )
        self.subject, self.body = clean(subject, SUBJECT_LIMIT), clean(body, BODY_LIMIT, "middle")
        notifiers, self.notifiers = self.notifiers, []
        try:
            return super().execute(context)
        except TaskAwaitingInput:  # nobody would look for an abort, or at the version: a trigger waits instead
            self.notifiers = notifiers
            if until is None:
                self._tell(context, artifact, target, preflight, end, notifiers)
            self._wait(context, artifact, target, end, reminded=reminded)

    def _compared(self, manager: AuthManager) -> bool:
        """Whether Airflow itself refuses whoever may not answer."""
        return bool(self.assigned_users) and manager.compares != "nothing"

    def _wait(
        self, context: Context, artifact: Artifact, target: Target, until: datetime, *, reminded: bool = False
    ) -> None:
        trigger = self._trigger(context, artifact, target, until, reminded)
        kept = {"until": until.isoformat(), "reminded": reminded}
        tell_links(self, context["ti"])
        self.defer(trigger=trigger, method_name="execute_complete", kwargs=kept)

    def _trigger(
        self, context: Context, artifact: Artifact, target: Target, until: datetime, reminded: bool
    ) -> ReleaseApprovalTrigger:
        now = datetime.now(timezone.utc)
        pause = min(REMIND_SECONDS, (until - now).total_seconds() / 2)
        return ReleaseApprovalTrigger(
            ti_id=context["ti"].id,
            options=self.options,
            params=self.serialized_params,
            defaults=None,
            multiple=False,
            timeout_datetime=until,
            target=to_json(target),
            release=self.release,
            remind_at=None if reminded or pause <= 0 else now.timestamp() + pause,
            **self.judging_arguments(target, artifact),
        )

    def _tell(
        self,
        context: Context,
        artifact: Artifact,
        target: Target,
        preflight: dict[str, Any],
        until: datetime,
        notifiers: Sequence[BaseNotifier],
        *,
        reminder: bool = False,
    ) -> None:
        """Let the notifiers tell that the form waits; one that fails decides nothing."""
        from release_pipelines.core.model.records import ReleaseDetail

        asked = who_asked(preflight)
        run: Any = context["dag_run"]
        subject, _ = self.form(artifact, target, preflight)
        waiting = Waiting(
            task=context["ti"].task_id,
            sentence=one_line(subject, SUBJECT_LIMIT),
            who=in_words(self._allowed(asked), "a person"),
            until=moment(until.timestamp(), self.time_zone),
            url=task_url(context, form=True),
            reminder=reminder,
        )
        note_waiting(self.release, waiting)
        known = ReleaseDetail(
            id=self.release,
            app=artifact.app,
            dag_id=run.dag_id,
            run_id=run.run_id,
            version=artifact.version,
            requester=asked.requester,
            started_by=asked.started_by,
            started_at=datetime.now(timezone.utc).timestamp(),
        )
        told = {"release": self.release, "target": target, "waiting": waiting, "known": known}
        for notifier in notifiers:
            with noted(f"{type(notifier).__name__} could not tell that a person is waited for"):
                notifier({**context, WAITING: told})

    def execute_complete(
        self, context: Context, event: dict[str, Any], until: str | None = None, reminded: bool = False
    ) -> Any:
        """Record the answer; fail on a rejection, a timeout, an abort or a failing verdict.

        :param until: when the form's time ends, in ISO 8601; None: it was opened by an earlier version.
        :param reminded: whether people were reminded of it.
        """
        with explained(context):
            artifact, target, preflight = self._question()
            end = datetime.fromisoformat(until) if until else self._end()
            if event.get("unasked"):
                return self._ask(context, artifact, target, preflight)
            if event.get("remind"):
                self._tell(context, artifact, target, preflight, end, self.notifiers, reminder=True)
                self._wait(context, artifact, target, end, reminded=True)
            if event.get("verdict"):  # the version was judged meanwhile: a bad one has lost its traffic already
                raise AirflowFailException(recorded_verdict(context, event, self.release, target, artifact).sentence)
            if event.get("aborted") or event.get("kind"):
                checked_event(event)
            if self._does_not_count(context, event, artifact, preflight):
                return self._ask(context, artifact, target, preflight, end, reminded=reminded)
            return self._decided(context, event, artifact, preflight)

    def _does_not_count(
        self, context: Context, event: dict[str, Any], artifact: Artifact, preflight: dict[str, Any]
    ) -> bool:
        """Whether somebody has answered whom Airflow could not tell from an approver; it is said and recorded."""
        if "error" in event or auth_manager().compares != "ids":
            return False
        asked, by = who_asked(preflight), responder(event)
        allowed = self._allowed(asked)
        alone = approves_alone(by, *asked, self_approval=self.self_approval)
        if not alone and (not allowed or is_one_of(allowed, by)):
            return False
        why = "asked for the release" if alone else "is no approver"
        answer = " ".join(event.get("chosen_options") or [])
        sentence = f"{by} answered `{answer}`, which does not count: {by} {why}, {in_words(allowed)} is expected."
        self.log.warning("%s The form opens again.", sentence)
        with noted("The answer that does not count could not be recorded"):
            history_of(context, self.release, artifact).record_event(self.release, "not_counted", sentence)
        return True

    def _decided(self, context: Context, event: dict[str, Any], artifact: Artifact, preflight: dict[str, Any]) -> Any:
        asked, by, why = who_asked(preflight), responder(event), words_in(event)
        given = event.get("params_input") or {}
        kept = {key: why if key == WHY else given.get(key) for key in self.fields} if given else {}
        name = by.name or by.id
        try:
            super().execute_complete(context, {**event, "params_input": kept})
        except HITLRejectException:
            self._record(context, artifact, "rejected", name, why)
            raise AirflowFailException(f"{by} rejected it{f': {why}' if why else ''}") from None
        except HITLTimeoutError:
            self._record(context, artifact, "expired", None)
            who = in_words(self._allowed(asked))
            raise AirflowFailException(f"no answer by {who} within {_span(self.wait)}") from None
        if approves_alone(by, *asked, self_approval=self.self_approval):
            self._record(context, artifact, "rejected", name, why)
            raise AirflowFailException(
                f"{by} asked for the release and cannot approve it: {in_words(self._allowed(asked))} is expected"
            )
        self._record(context, artifact, "approved", name, why)
        return {"decision": "approved", "by": name, "digest": artifact.digest}

    def _record(
        self, context: Context, artifact: Artifact, decision: Decision, by: str | None, why: str | None = None
    ) -> None:
        context["ti"].xcom_push("decision", decision)
        history_of(context, self.release, artifact).record_approval(self.release, artifact.digest, decision, by, why)
        self.log.info("%s: %s by %s.", artifact.digest, decision, by or "nobody")


def who_asked(preflight: dict[str, Any]) -> Asked:
    """Who asked for the release, as preflight found it."""
    return Asked(preflight.get("requester"), preflight.get("started_by"))


def responder(event: dict[str, Any]) -> Identity:
    """Who answered, as Airflow tells it."""
    user = event.get("responded_by_user") or {}
    return Identity(user.get("id"), user.get("name"))


def words_in(event: dict[str, Any]) -> str | None:
    """The words of whoever answered; None where there are none."""
    given = (event.get("params_input") or {}).get(WHY)
    return one_line(given) or None if isinstance(given, str) else None


def _span(seconds: float) -> str:
    """``30 min``, ``1 d``"""
    unit, size = next((it for it in (("d", 86400), ("h", 3600), ("min", 60)) if seconds >= it[1]), ("s", 1))
    return f"{seconds / size:.3g} {unit}"
