"""A person lets an artifact into an environment (R10)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from release_pipelines.airflow.operator import (
    RUN,
    as_value,
    checked_event,
    explained,
    history_of,
    judging_arguments,
    recorded_verdict,
)
from release_pipelines.core.approvers import allowed_approvers, approves_alone
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.text import clean
from release_pipelines.features.approval.form import approval_form
from release_pipelines.features.approval.triggers import ReleaseApprovalTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


Decision = Literal["approved", "rejected", "expired"]


SUBJECT_LIMIT, BODY_LIMIT = 250, 20_000
"""Maximum lengths of a question's subject and text, in characters: notes and evidence come from outside."""


class AskingOperator(ApprovalOperator):
    """Base: named people answer a question about an artifact, and the answer binds to its digest.

    Waits without a worker slot. Whoever asked for the release is taken out of the approvers before the form opens, unless
    ``self_approval``. A rejection and a timeout fail the task for good, with XCom ``decision`` saying ``rejected`` or
    ``expired``; so does a person who aborts the release meanwhile (XCom ``aborted``). Answers are recorded in the history.

    :param target: the app in its environment: a :class:`~release_pipelines.core.model.target.Target` or its dict.
    :param artifact: the :class:`~release_pipelines.core.model.artifact.Artifact` that is asked about.
    :param approvers: names of the users who may answer.
    :param self_approval: whether the requester may answer too.
    :param wait: seconds until no answer counts as ``expired``.
    :param preflight: what :class:`~release_pipelines.features.preflight.operators.PreflightOperator` returned: requester, what runs
        now, the way back, notes.
    :param release: the release's id.
    """

    template_fields: tuple[str, ...] = ("subject", "body", "artifact", "preflight", "release")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        approvers: list[str],
        preflight: Any,
        self_approval: bool = False,
        wait: float = 86400.0,
        release: str = RUN,
        **kwargs: Any,
    ) -> None:
        super().__init__(fail_on_reject=True, response_timeout=timedelta(seconds=wait), **kwargs)
        self.target = target
        self.artifact = artifact
        self.approvers = approvers
        self.preflight = preflight
        self.self_approval = self_approval
        self.wait = wait
        self.release = release

    def form(self, artifact: Artifact, target: Target, preflight: dict[str, Any]) -> tuple[str, str]:
        """The question's subject and text.

        :param artifact: the artifact that is asked about.
        :param target: the app in its environment.
        :param preflight: what preflight returned, as a dict.
        """
        raise NotImplementedError

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

    def _allowed(self, requester: str | None) -> list[str]:
        """Names of the people who may answer."""
        return allowed_approvers(self.approvers, requester, self_approval=self.self_approval)

    def execute(self, context: Context) -> Any:
        """Open the form; tried again, take the answer that may be there already.

        Airflow can take an answer that comes at once for a crash of the process that asked, and tries the task again. Asking
        again would throw the answer away.
        """
        with explained(context):
            artifact, target, preflight = self._question()
            if context["ti"].try_number > 1:
                self._wait(context, artifact, target)
            return self._ask(context, artifact, target, preflight)

    def _ask(self, context: Context, artifact: Artifact, target: Target, preflight: dict[str, Any]) -> Any:
        requester = preflight.get("requester")
        named = self._allowed(requester)
        if not named and not self.self_approval:
            raise AirflowFailException(
                f"Nobody is left who may approve: {requester} asked for the release and is the only approver. "
                f"Name another one in `approvers` of {target.environment}."
            )
        self.assigned_users = [{"id": name, "name": name} for name in named] or None
        subject, body = self.form(artifact, target, preflight)
        self.subject, self.body = clean(subject, SUBJECT_LIMIT), clean(body, BODY_LIMIT, "middle")
        try:
            return super().execute(context)
        except TaskAwaitingInput:  # nobody would look for an abort, or at the version: a trigger waits instead
            self._wait(context, artifact, target)

    def _wait(self, context: Context, artifact: Artifact, target: Target) -> None:
        self.defer(trigger=self._trigger(context, artifact, target), method_name="execute_complete")

    def _trigger(self, context: Context, artifact: Artifact, target: Target) -> ReleaseApprovalTrigger:
        return ReleaseApprovalTrigger(
            ti_id=context["ti"].id,
            options=self.options,
            params=self.serialized_params,
            defaults=None,
            multiple=False,
            timeout_datetime=datetime.now(timezone.utc) + timedelta(seconds=self.wait),
            target=to_json(target),
            release=self.release,
            **self.judging_arguments(target, artifact),
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer; fail on a rejection, a timeout, an abort or a failing verdict."""
        with explained(context):
            artifact, target, preflight = self._question()
            if event.get("unasked"):
                return self._ask(context, artifact, target, preflight)
            if event.get("verdict"):  # the version was judged meanwhile: a bad one has lost its traffic already
                raise AirflowFailException(recorded_verdict(context, event, self.release, target, artifact).sentence)
            if event.get("aborted") or event.get("kind"):
                checked_event(event)
            user = event.get("responded_by_user") or {}
            name, requester = user.get("name") or user.get("id"), preflight.get("requester")
            try:
                super().execute_complete(context, event)
            except HITLRejectException:
                self._record(context, artifact, "rejected", name)
                raise AirflowFailException(f"{name} rejected it") from None
            except HITLTimeoutError:
                self._record(context, artifact, "expired", None)
                who = " or ".join(self._allowed(requester)) or "anybody"
                raise AirflowFailException(f"no answer by {who} within {_span(self.wait)}") from None
            if approves_alone(name, requester, self_approval=self.self_approval):
                self._record(context, artifact, "rejected", name)
                raise AirflowFailException(
                    f"{name} asked for the release and cannot approve it: {' or '.join(self._allowed(name)) or 'anybody'} is expected"
                )
            self._record(context, artifact, "approved", name)
            return {"decision": "approved", "by": name, "digest": artifact.digest}

    def _record(self, context: Context, artifact: Artifact, decision: Decision, by: str | None) -> None:
        context["ti"].xcom_push("decision", decision)
        history_of(context, self.release, artifact).record_approval(self.release, artifact.digest, decision, by)
        self.log.info("%s: %s by %s.", artifact.digest, decision, by or "nobody")


class ReleaseApprovalOperator(AskingOperator):
    """Ask named people whether an artifact may enter an environment. Production reads the recorded answer again.

    :param evidence: names of checks to their results, for the form.
    :param plan: how the traffic will move, in a sentence.

    Other parameters, XCom and errors as :class:`AskingOperator`.

    Templated: ``artifact``, ``preflight``, ``release``, ``evidence``.
    XCom: return value, ``decision``; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    template_fields: tuple[str, ...] = (*AskingOperator.template_fields, "evidence")

    def __init__(self, *, evidence: dict[str, str], plan: str, **kwargs: Any) -> None:
        super().__init__(subject="Release?", **kwargs)
        self.evidence = evidence
        self.plan = plan

    def form(self, artifact: Artifact, target: Target, preflight: dict[str, Any]) -> tuple[str, str]:
        """What changes, with the evidence."""
        body = approval_form(
            artifact,
            target.environment,
            preflight.get("before") or {},
            self.evidence,
            plan=self.plan,
            way_back=preflight.get("way_back") or "not checked",
            requester=preflight.get("requester"),
            notes=" ".join(str(preflight.get(key) or "") for key in ("notes", "urgent_reason")).strip(),
        )
        return f"Release {artifact.app} {artifact.version} to {target.environment}?", body


class StepApprovalOperator(AskingOperator):
    """Ask named people in the middle of a release whether it may go on. The version goes on being judged meanwhile.

    A failing verdict, like a person who aborts, takes the traffic back at once and ends the wait.

    :param lease: the lease, from :class:`~release_pipelines.features.lease.operators.TakeLeaseOperator`.
    :param deployment: what the deploying task returned; after a first release (R17) there is nothing to ask.
    :param stage: the :class:`~release_pipelines.core.model.stage.Stage` whose traffic the version has; None: it has none yet.

    Other parameters, XCom and errors as :class:`AskingOperator`.

    Templated: ``artifact``, ``preflight``, ``release``, ``lease``, ``deployment``.
    XCom: return value, ``decision``; ``verdict`` when the version turns bad meanwhile, ``aborted`` when a person
    ends the release; ``reason`` when it fails.
    """

    template_fields: tuple[str, ...] = (*AskingOperator.template_fields, "lease", "deployment")

    def __init__(self, *, lease: Any, deployment: Any, stage: Stage | None = None, **kwargs: Any) -> None:
        super().__init__(subject="Go on?", **kwargs)
        self.lease = lease
        self.deployment = deployment
        self.stage = stage

    def execute(self, context: Context) -> Any:
        """Open the form, unless it is a first release."""
        with explained(context):
            first = as_value(Deployment, self.deployment, "deployment").first
        if first:
            self.log.info("First release: it has all traffic already, there is nothing to ask.")
            return {"decision": "approved", "by": None}
        return super().execute(context)

    def form(self, artifact: Artifact, target: Target, preflight: dict[str, Any]) -> tuple[str, str]:
        """How far the release has come."""
        deployment = as_value(Deployment, self.deployment, "deployment")
        has = f"{self.stage.weight} % of the traffic" if self.stage else "no traffic yet"
        return (
            f"Let {artifact.app} {artifact.version} go on in {target.environment}?",
            f"**{artifact.app} {artifact.version}** runs on **{deployment.track}** in **{target.environment}** beside "
            f"**{deployment.previous_version or 'nothing'}** and has **{has}**.\n\n"
            "It is judged while you think; no answer in time counts as no.",
        )

    def judging_arguments(self, target: Target, artifact: Artifact) -> dict[str, Any]:
        """Arguments with which the stage before goes on being judged."""
        return judging_arguments(self.stage, self.lease, self.deployment, artifact)


def _span(seconds: float) -> str:
    """``30 min``, ``1 d``"""
    unit, size = next((it for it in (("d", 86400), ("h", 3600), ("min", 60)) if seconds >= it[1]), ("s", 1))
    return f"{seconds / size:.3g} {unit}"
