"""A second person lets an urgent release through calendars that are closed (R19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.ending import noted
from release_pipelines.airflow.operator import explained, history_of
from release_pipelines.airflow.windows import obstacle_now
from release_pipelines.core.approvers import same_person, words_of
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.person import Asked, Person
from release_pipelines.core.model.target import Target
from release_pipelines.features.approval.operators.approvals import ReleaseApprovalOperator
from release_pipelines.features.approval.operators.asking import who_asked

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.model.window import WindowRule


class UrgentApprovalOperator(ReleaseApprovalOperator):
    """Where an urgent release finds its calendars closed: ask another person than the first approver. Else nothing is asked.

    :param rule: the :class:`~release_pipelines.core.model.window.WindowRule` that would be overridden.
    :param first: who has approved the release.

    Other parameters, XCom and errors as :class:`ReleaseApprovalOperator`; the return value has ``overridden``, a sentence, too.

    Templated: ``artifact``, ``preflight``, ``release``, ``evidence``, ``facts``, ``first``.
    """

    template_fields: tuple[str, ...] = (*ReleaseApprovalOperator.template_fields, "first")

    def __init__(self, *, rule: WindowRule, first: str, **kwargs: Any) -> None:
        super().__init__(window=rule, **kwargs)
        self.rule = rule
        self.first = first

    def execute(self, context: Context) -> Any:
        """Open the form, where there is something to override and somebody who may."""
        with explained(context):
            _, _, preflight = self._question()
            why = obstacle_now(self.rule) if preflight.get("urgent_reason") else None
            if why is None:
                self.log.info("There is nothing to override.")
                return {}
            if not self._allowed(who_asked(preflight)):
                self.log.warning(
                    "Nobody else is left in `urgent_approvers`: the release keeps to its calendars. %s", why
                )
                return {}
        return super().execute(context)

    def _allowed(self, asked: Asked) -> list[str | Person]:
        return [it for it in super()._allowed(asked) if not same_person(words_of(it), [self.first])]

    def form(self, artifact: Artifact, target: Target, preflight: dict[str, Any]) -> tuple[str, str]:
        """What is overridden, and why, above what the first approver saw."""
        _, body = super().form(artifact, target, preflight)
        why = obstacle_now(self.rule) or "Its calendars are open by now."
        urgent = f"**Urgent:** {preflight.get('urgent_reason')}\n\n**Overrides:** {why} {self.first} has approved the release itself."
        return (
            f"Release {artifact.app} {artifact.version} to {target.environment} although it is closed?",
            f"{urgent}\n\n{body}",
        )

    def _decided(self, context: Context, event: dict[str, Any], artifact: Artifact, preflight: dict[str, Any]) -> Any:
        decided = super()._decided(context, event, artifact, preflight)
        closed = (obstacle_now(self.rule) or "it was closed when it was asked").rstrip(".")
        overridden = (
            f"It did not keep to its calendars ({closed}), because: {str(preflight['urgent_reason']).rstrip('.')}; "
            f"approved by {self.first} and {decided['by']}"
        )
        with noted("That calendars are overridden could not be recorded"):
            history_of(context, self.release, artifact).record_event(self.release, "window", f"{overridden}.")
        return {**decided, "overridden": overridden}
