"""The first task of a release."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from release_pipelines.spec.feature import Feature, FeatureTask, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class PreflightFeature(Feature):
    """One task, before everything else."""

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is None:
            yield FeatureTask("preflight", Slot.PREFLIGHT, _preflight, role="preflight")


def _preflight(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.preflight.operators import PreflightOperator

    return PreflightOperator(task_id=task_id, spec=scene.spec)


FEATURE = PreflightFeature()
