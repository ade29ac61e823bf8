"""The first task that changes something in an environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.track import Track
from release_pipelines.core.templates import field, xcom
from release_pipelines.spec.feature import Feature, FeatureTask, Scene, Slot
from release_pipelines.spec.stages import stages, track_of

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec

TASKS: dict[Track, str] = {"canary": "canary_deploy", "preview": "preview_deploy", "stable": "rolling_deploy"}
"""Names of the task that begins a release on a track."""


class DeploymentFeature(Feature):
    """A rolling update in environments before the last one, which is reverted when a later decision says no; in the last one
    what the strategy begins with."""

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is None:
            return
        if environment == spec.production.name:
            yield FeatureTask(TASKS[track_of(spec)], Slot.DEPLOY, _begin, role="deploy", touches=True)
            return
        yield FeatureTask("deploy", Slot.DEPLOY, _update, touches=True)
        yield FeatureTask(f"roll_back_{environment}", Slot.REVERT, _revert)


def _common(scene: Scene) -> dict[str, Any]:
    return {"target": scene.target, "release": scene.release, **scene.queue}


def _update(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.deployment.operators import RollingUpdateOperator

    return RollingUpdateOperator(task_id=task_id, artifact=scene.artifact, lease=scene.lease, **_common(scene))


def _revert(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.deployment.operators import RollBackUpdateOperator

    return RollBackUpdateOperator(
        task_id=task_id,
        deployment=xcom(scene.id_of(Slot.DEPLOY), "deployment"),
        image=field(scene.id_of(Slot.ARTIFACT), "image"),
        trigger_rule="all_done",
        **_common(scene),
    )


def _begin(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.deployment.operators import (
        CanaryDeployOperator,
        PreviewDeployOperator,
        RollingDeployOperator,
    )

    work: dict[str, Any] = {"artifact": scene.artifact, "lease": scene.lease, **_common(scene)}
    track = track_of(scene.spec)
    if track == "canary":
        first = next(stage for stage in stages(scene.spec) if isinstance(stage, Stage))
        return CanaryDeployOperator(task_id=task_id, stage=first, **work)
    beginning = PreviewDeployOperator if track == "preview" else RollingDeployOperator
    return beginning(task_id=task_id, **work)


FEATURE = DeploymentFeature()
