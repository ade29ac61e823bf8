"""A feature with a task in each slot that is open to others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.spec.feature import Feature, FeatureTask, Key, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec

OUTSIDE = (Slot.BEFORE_BUILD, Slot.AFTER_BUILD, Slot.AFTER_OUTCOME)
EVERYWHERE = (Slot.BEFORE_ENVIRONMENT, Slot.AFTER_DEPLOY)
LAST = (Slot.IN_STAGE, Slot.BEFORE_PROMOTE)


class Trace(Feature):
    """Only for apps that want to be traced."""

    app_keys = {"trace": Key(bool, False)}

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if not spec.app.part("trace", bool):
            return
        slots = OUTSIDE if environment is None else EVERYWHERE
        if environment == spec.production.name:
            slots = (*EVERYWHERE, *LAST)
        for slot in slots:
            yield FeatureTask(f"trace_{slot.name.lower()}", slot, partial(_trace, slot))


def _trace(slot: Slot, task_id: str, scene: Scene) -> Any:
    from acme_release.operators import TraceOperator

    where = f" {scene.environment}" if scene.environment else ""
    return TraceOperator(task_id=task_id, place=f"{slot.name.lower()}{where}", release=scene.release)


FEATURE = Trace()
