"""Whoever changes an app in an environment holds its lease (R2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.stage import Stage
from release_pipelines.core.templates import xcom
from release_pipelines.spec.arrangement import own_stage_seconds
from release_pipelines.spec.feature import Feature, FeatureTask, Scene, Slot
from release_pipelines.spec.stages import retire_after, stages

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec

SHORT_LEASE_SECONDS = 900.0
"""Duration of a lease that nobody renews, in seconds: environments before the last one are changed in minutes."""


class LeaseFeature(Feature):
    """Taken first, given back in every case; renewed beside the stages of the last environment."""

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is None:
            return
        yield FeatureTask("take_lease", Slot.LEASE, _take)
        if environment != spec.production.name:
            yield FeatureTask("give_back_lease", Slot.RETURN_LEASE, _give_back)
            return
        yield FeatureTask("hold_lease", Slot.HEARTBEAT, _hold)
        yield FeatureTask("give_back_lease", Slot.RETURN_LEASE, _give_back_last, group="", role="give_back")


def _take(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.lease.operators import TakeLeaseOperator

    own = own_stage_seconds(scene.spec, scene.environment or "")
    kept: dict[str, Any] = {"approved": scene.artifact} if scene.last else {"ttl": SHORT_LEASE_SECONDS + own}
    when_busy = scene.spec.app.when_busy
    return TakeLeaseOperator(task_id=task_id, when_busy=when_busy, **kept, **_common(scene))


def _hold(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.lease.operators import HoldLeaseOperator

    judged = [it for it in stages(scene.spec) if isinstance(it, Stage)]
    return HoldLeaseOperator(
        task_id=task_id,
        target=scene.target,
        lease=scene.lease,
        artifact=scene.artifact,
        stages=judged,
        **scene.queue,
    )


def _give_back(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.lease.operators import GiveBackLeaseOperator

    return GiveBackLeaseOperator(task_id=task_id, lease=scene.lease, **_common(scene))


def _give_back_last(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.lease.operators import GiveBackLeaseOperator

    return GiveBackLeaseOperator(
        task_id=task_id,
        lease=scene.lease,
        deployment=xcom(scene.id_of(Slot.DEPLOY), "deployment"),
        plan=xcom(scene.id_of(Slot.ROLLBACK), "plan"),
        retire_after=retire_after(scene.spec),
        **_common(scene),
    )


def _common(scene: Scene) -> dict[str, Any]:
    return {"target": scene.target, "release": scene.release, **scene.queue}


FEATURE = LeaseFeature()
