"""A person lets an artifact into an environment (R10)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.ending import noted
from release_pipelines.airflow.evidence import record_evidence
from release_pipelines.airflow.notes import note_now
from release_pipelines.airflow.operator import as_value, explained, history_of, judging_arguments
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.command import given_by
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.units import lasting
from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.steering import QUESTION
from release_pipelines.features.approval.form import Known, approval_form
from release_pipelines.features.approval.operators.asking import AskingOperator, who_asked

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.spec.release import ReleaseSpec


class ReleaseApprovalOperator(AskingOperator):
    """Ask named people whether an artifact may enter an environment. Production reads the recorded answer again.

    :param evidence: names of checks to their results, for the form. They are kept with the digest: a check that has none shows
        what it found when the digest was released before.
    :param plan: how the traffic will move, in a sentence.
    :param facts: what is told beside them, and is true of this release only.
    :param window: the :class:`~release_pipelines.core.model.window.WindowRule` that the release keeps to; None: to none.
    :param holds: seconds that the approval holds, where the release has to wait for its window.
    :param spec: the app's :class:`~release_pipelines.spec.release.ReleaseSpec`, where a train may have the approval already; None: it is
        always asked for.

    Other parameters, XCom and errors as :class:`AskingOperator`.

    Templated: ``artifact``, ``preflight``, ``release``, ``evidence``, ``facts``.
    XCom: return value, ``decision``; ``aborted`` when a person ends the release; ``reason`` when it fails.
    """

    template_fields: tuple[str, ...] = (*AskingOperator.template_fields, "evidence", "facts")

    def __init__(
        self,
        *,
        evidence: Mapping[str, str],
        plan: str,
        facts: Mapping[str, str] | None = None,
        window: WindowRule | None = None,
        holds: float | None = None,
        spec: ReleaseSpec | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(subject="Release?", **kwargs)
        self.spec = spec
        self.evidence = dict(evidence)
        self.plan = plan
        self.facts = dict(facts or {})
        self.window = window
        self.holds = holds
        self.known = Known()

    def execute(self, context: Context) -> Any:
        """Take the approval that the release's train has recorded; where it has none that counts here, open the form."""
        with explained(context):
            given = self._given_to_train(context)
        return given or super().execute(context)

    def _given_to_train(self, context: Context) -> dict[str, Any] | None:
        if self.spec is None:
            return None
        from release_pipelines.airflow.trains import approved_by_train

        artifact, _, preflight = self._question()
        history = history_of(context, self.release, artifact)
        given, why_not = approved_by_train(history, self.spec, self.release, artifact, who_asked(preflight))
        if given is None:
            if why_not:
                self.log.info("%s It is asked for.", why_not)
                self.facts["Approval of the train"] = why_not
            return None
        with noted("What checks found about the digest could not be recorded"):
            record_evidence(history, self.release, artifact.digest, self.evidence)
        sentence = f"Approved in {given.train} by {given.by}"
        self._record(context, artifact, "approved", given.by, f"in {given.train}")
        history.record_event(self.release, "approved", f"{sentence}.")
        note_now(self.release, f"{sentence}.")
        return {"decision": "approved", "by": given.by, "digest": artifact.digest, "train": given.train}

    def look_up(self, context: Context, artifact: Artifact) -> None:
        """What the history knows of the digest. The form opens without it, too."""
        with noted("The history does not tell what it knows of the digest"):
            history = history_of(context, self.release, artifact)
            self._look_at_window(history, artifact)
            record_evidence(history, self.release, artifact.digest, self.evidence)
            same = (artifact.app, artifact.digest, self.release)
            promote = next((it for it in history.commands(self.release) if it.kind == "promote"), None)
            self.known = Known(
                past=history.past_of(*same),
                evidence=history.evidence_of(*same),
                hurried=given_by(promote) if promote else None,
            )
            if not history.waits_for_approval(self.release):
                history.record_event(self.release, "asked", f"Asked whether {artifact.version} may go on.")

    def _look_at_window(self, history: History, artifact: Artifact) -> None:
        """Which window the release would begin in, and whether it fits, as far as that is known now."""
        if self.window is None:
            return
        from release_pipelines.airflow.windows import planned_at, window_in_words

        _, _, preflight = self._question()
        at = max(time.time(), planned_at(self.window, preflight.get("start_at")))
        if preflight.get("start_at"):
            self.facts["Planned for"] = str(preflight["start_at"])
        durations = history.durations(artifact.app, self.window.environment)
        self.facts["Release window"] = window_in_words(self.window, durations, at)
        if self.holds is not None:
            self.facts["The approval holds"] = f"for {lasting(self.holds)}, while the release waits for its window"

    def form(self, artifact: Artifact, target: Target, preflight: dict[str, Any]) -> tuple[str, str]:
        """What changes, with the evidence."""
        asked = who_asked(preflight)
        body = approval_form(
            artifact,
            target.environment,
            preflight.get("before") or {},
            self.evidence,
            facts=self.facts,
            known=self.known,
            time_zone=self.time_zone,
            plan=self.plan,
            way_back=preflight.get("way_back") or "not checked",
            requester=str(asked) if asked.requester else None,
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

    def look_up(self, context: Context, artifact: Artifact) -> None:
        """Say in the history that people are asked."""
        with noted("That people are asked could not be recorded"):
            sentence = f"Asked whether {artifact.version} may go on: {context['ti'].task_id}."
            history_of(context, self.release, artifact).record_event(self.release, QUESTION, sentence)

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
