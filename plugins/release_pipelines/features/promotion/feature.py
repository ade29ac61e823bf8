"""Promotion in the last environment (R18)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from release_pipelines.spec.feature import Feature, FeatureTask, Scene, Slot
from release_pipelines.spec.stages import promotion_of
from release_pipelines.spec.windows import overridden, window_rule

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class PromotionFeature(Feature):
    """One task in the last environment, as the strategy says."""

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment == spec.production.name:
            yield FeatureTask("promote", Slot.PROMOTE, _promote, touches=True)


def _promote(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.promotion.operators import PromoteOperator

    how = promotion_of(scene.spec)
    return PromoteOperator(
        task_id=task_id,
        return_weights=how.return_weights,
        keep_old=how.keep_old,
        retire_after=how.retire_after,
        return_hold=how.return_hold,
        analysis=scene.spec.analysis,
        on_drift=how.on_drift,
        window=window_rule(scene.spec, scene.environment or ""),
        overridden=overridden(scene),
        **scene.work,
    )


FEATURE = PromotionFeature()
