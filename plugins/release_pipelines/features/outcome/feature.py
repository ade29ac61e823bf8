"""What a release came to (R9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from release_pipelines.spec.feature import Feature, FeatureTask, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class OutcomeFeature(Feature):
    """One task at the end of every run, which fails the run unless all went well."""

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is None:
            yield FeatureTask("outcome", Slot.OUTCOME, _outcome)


def _outcome(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.outcome.operators import RecordOutcomeOperator

    return RecordOutcomeOperator(task_id=task_id, spec=scene.spec, tasks=scene.tasks, roles=dict(scene.roles))


FEATURE = OutcomeFeature()
