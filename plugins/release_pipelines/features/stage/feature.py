"""The stages of the strategy, one task each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.stage import Stage
from release_pipelines.spec.feature import Feature, FeatureTask, Scene, Slot
from release_pipelines.spec.stages import stages
from release_pipelines.spec.windows import overridden, window_rule

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class StageFeature(Feature):
    """One task for each stage that is judged; checks and questions between them belong to other features."""

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment != spec.production.name:
            return
        for number, stage in enumerate(stages(spec)):
            if isinstance(stage, Stage):
                yield FeatureTask(stage.name, Slot.STAGE, partial(_stage, stage), order=number)


def _stage(stage: Stage, task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.stage.operators import StageOperator

    return StageOperator(
        task_id=task_id,
        stage=stage,
        environment=scene.spec.environment(scene.environment or ""),
        window=window_rule(scene.spec, scene.environment or ""),
        overridden=overridden(scene),
        **scene.work,
    )


FEATURE = StageFeature()
