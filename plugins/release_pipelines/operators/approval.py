"""A person lets an artifact into an environment (R10)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.domain.approval import approval_form
from release_pipelines.domain.values import Artifact
from release_pipelines.operators.base import explained, given, history_of
from release_pipelines.operators.lease import RUN

if TYPE_CHECKING:
    from airflow.sdk import Context


Decision = Literal["approved", "rejected", "expired"]


class ReleaseApprovalOperator(ApprovalOperator):
    """Ask named people whether an artifact may go on; the answer binds to its digest.

    Waits without a worker slot. Whoever asked for the release is taken out of the approvers before the form opens, unless
    ``self_approval``. A rejection and a timeout fail the task for good, with XCom ``decision`` saying ``rejected`` or
    ``expired``; an approval is recorded in the history, where production reads it again.

    :param artifact: the :class:`~release_pipelines.domain.values.Artifact` that is approved.
    :param environment: name of the environment that it is to enter.
    :param approvers: names of the users who may answer.
    :param self_approval: whether the requester may answer too.
    :param wait: seconds until no answer counts as ``expired``.
    :param preflight: what :class:`~release_pipelines.operators.preflight.PreflightOperator` returned: requester, what runs
        now, the way back, notes.
    :param evidence: names of checks to their results, for the form.
    :param plan: how the traffic will move, in a sentence.
    :param release: the release's id.
    """

    template_fields = ("subject", "body", "artifact", "preflight", "evidence", "release")

    def __init__(
        self,
        *,
        artifact: Any,
        environment: str,
        approvers: list[str],
        preflight: Any,
        evidence: dict[str, str],
        plan: str,
        self_approval: bool = False,
        wait: float = 86400.0,
        release: str = RUN,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject=f"Release to {environment}?",
            fail_on_reject=True,
            response_timeout=timedelta(seconds=wait),
            **kwargs,
        )
        self.artifact = artifact
        self.environment = environment
        self.approvers = approvers
        self.preflight = preflight
        self.evidence = evidence
        self.plan = plan
        self.self_approval = self_approval
        self.wait = wait
        self.release = release

    def _asked(self) -> tuple[Artifact, dict[str, Any]]:
        import json

        found = json.loads(self.preflight) if isinstance(self.preflight, str) else self.preflight
        return given(Artifact, self.artifact, "the artifact"), found or {}

    def _may(self, requester: str | None) -> str:
        """Who may answer, in words."""
        named = [name for name in self.approvers if self.self_approval or name != requester]
        return " or ".join(named) or "anybody"

    def execute(self, context: Context) -> Any:
        """Open the form."""
        with explained(context):
            artifact, found = self._asked()
            requester = found.get("requester")
            named = [name for name in self.approvers if self.self_approval or name != requester]
            if not named and not self.self_approval:
                raise AirflowFailException(
                    f"Nobody is left who may approve: {requester} asked for the release and is the only approver. "
                    f"Name another one in `approvers` of {self.environment}."
                )
            self.assigned_users = [{"id": name, "name": name} for name in named] or None
            self.subject = f"Release {artifact.app} {artifact.version} to {self.environment}?"
            self.body = approval_form(
                artifact,
                self.environment,
                found.get("before") or {},
                self.evidence,
                plan=self.plan,
                way_back=found.get("way_back") or "not checked",
                requester=requester,
                notes=" ".join(str(found.get(key) or "") for key in ("notes", "urgent_reason")).strip(),
            )
            return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Somebody answered, or nobody did in time."""
        with explained(context):
            artifact, found = self._asked()
            user = event.get("responded_by_user") or {}
            name = user.get("name") or user.get("id")
            try:
                super().execute_complete(context, event)
            except HITLRejectException:
                self._record(context, artifact, "rejected", name)
                raise AirflowFailException(f"{name} rejected it") from None
            except HITLTimeoutError:
                self._record(context, artifact, "expired", None)
                raise AirflowFailException(
                    f"no answer by {self._may(found.get('requester'))} within {_span(self.wait)}"
                ) from None
            if name == found.get("requester") and not self.self_approval:
                self._record(context, artifact, "rejected", name)
                raise AirflowFailException(
                    f"{name} asked for the release and cannot approve it: {self._may(name)} is expected"
                )
            self._record(context, artifact, "approved", name)
            return {"decision": "approved", "by": name, "digest": artifact.digest}

    def _record(self, context: Context, artifact: Artifact, decision: Decision, by: str | None) -> None:
        context["ti"].xcom_push("decision", decision)
        history_of(context, self.release, artifact).record_approval(self.release, artifact.digest, decision, by)
        self.log.info("%s: %s by %s.", artifact.digest, decision, by or "nobody")


def _span(seconds: float) -> str:
    """``30 min``, ``1 d``"""
    unit, size = next((it for it in (("d", 86400), ("h", 3600), ("min", 60)) if seconds >= it[1]), ("s", 1))
    return f"{seconds / size:.3g} {unit}"
