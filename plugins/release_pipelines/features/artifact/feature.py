"""Binds a release to its artifact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from release_pipelines.core.templates import part, xcom
from release_pipelines.spec.feature import Feature, FeatureTask, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class ArtifactFeature(Feature):
    """One task, after the build."""

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is None:
            yield FeatureTask("artifact", Slot.ARTIFACT, _artifact, role="artifact")


def _artifact(task_id: str, scene: Scene) -> Any:
    from release_pipelines.airflow.gates import SAME_IMAGES
    from release_pipelines.features.artifact.operators import RecordArtifactOperator

    return RecordArtifactOperator(
        task_id=task_id,
        artifact=xcom(scene.built),
        known=part(scene.id_of(Slot.PREFLIGHT), "known"),
        serving=part(scene.id_of(Slot.PREFLIGHT), "serving"),
        same=SAME_IMAGES,
        registry_conn_id=scene.spec.environments[0].connections.registry,
        release=scene.release,
        evidence=scene.evidence,
        trigger_rule="none_failed_min_one_success",
    )


FEATURE = ArtifactFeature()
