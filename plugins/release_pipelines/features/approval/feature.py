"""Questions to people: before the last environment, and in the middle of a strategy (R10)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from release_pipelines.core.model.person import Person, as_word
from release_pipelines.core.model.stage import Question, Stage
from release_pipelines.core.templates import field
from release_pipelines.spec.feature import FEATURES, Feature, FeatureTask, Key, Scene, Slot
from release_pipelines.spec.stages import plan_in_words, stages_before
from release_pipelines.spec.windows import URGENT, overridable, window_rule

if TYPE_CHECKING:
    from release_pipelines.core.model.window import WindowRule
    from release_pipelines.spec.release import ReleaseSpec


class ApprovalFeature(Feature):
    """Named people are asked before the last environment is changed, and where the strategy has a question."""

    environment_keys = {
        "urgent_approvers": Key(
            list[Annotated[str | Person, BeforeValidator(as_word)]],
            list,
            "Who may let an urgent release through closed calendars, as the second person; empty: nobody may",
        )
    }

    def remarks(self, spec: ReleaseSpec) -> Iterator[str]:
        from release_pipelines.airflow.people import auth_manager, remarks

        yield from remarks(spec.production.approvers, auth_manager())

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment != spec.production.name:
            return
        yield FeatureTask("approval", Slot.APPROVAL, _approval, group="", role="approval")
        if rule := overridable(spec):
            yield FeatureTask(
                URGENT, Slot.AFTER_APPROVAL, partial(_urgent, rule), group="", order=-1, role=URGENT, unbroken=True
            )
        for number, (stage, before) in enumerate(stages_before(spec)):
            if isinstance(stage, Question):
                yield FeatureTask(stage.name, Slot.STAGE, partial(_question, stage, before), order=number)


def _urgent(rule: WindowRule, task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.approval.operators import UrgentApprovalOperator

    people = {"approvers": scene.spec.production.part("urgent_approvers", list) or [], "self_approval": False}
    return UrgentApprovalOperator(
        task_id=task_id,
        rule=rule,
        first=field(scene.id_of(Slot.APPROVAL), "by"),
        target=scene.target,
        artifact=scene.artifact,
        wait=scene.spec.app.approval.timeout,
        evidence=scene.evidence,
        facts={**scene.facts, "Release window": ""},
        plan=plan_in_words(scene.spec),
        release=scene.release,
        **{**_people(scene), **people},
    )


def _approval(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.approval.operators import ReleaseApprovalOperator

    app = scene.spec.app
    uses = {"Preflight": field(scene.id_of(Slot.PREFLIGHT), "uses")}
    missing = {
        f"Feature that is installed ({number})": sentence for number, (_, sentence) in enumerate(FEATURES.broken(), 1)
    }
    return ReleaseApprovalOperator(
        task_id=task_id,
        target=scene.target,
        artifact=scene.artifact,
        wait=app.approval.timeout,
        evidence=scene.evidence,
        facts={**uses, **scene.facts, **missing, "Release window": ""},
        plan=plan_in_words(scene.spec),
        window=window_rule(scene.spec, scene.spec.production.name),
        holds=app.approval.valid_for,
        spec=scene.spec,
        release=scene.release,
        **_people(scene),
    )


def _question(question: Question, before: Stage | None, task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.approval.operators import StepApprovalOperator

    return StepApprovalOperator(
        task_id=task_id,
        wait=question.approval.timeout,
        stage=before,
        **_people(scene),
        **scene.work,
    )


def _people(scene: Scene) -> dict[str, Any]:
    """Who may answer, and who is told that they are waited for."""
    from release_pipelines.airflow.notifiers.waiting import WaitingNotifier

    production = scene.spec.production
    return {
        "approvers": production.approvers,
        "self_approval": scene.spec.app.approval.self_approval,
        "preflight": scene.preflight,
        "time_zone": production.time_zone,
        "notifiers": [WaitingNotifier(environment=production)],
    }


FEATURE = ApprovalFeature()
