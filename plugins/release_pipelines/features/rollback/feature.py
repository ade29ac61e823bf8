"""The rollback of the last environment (R8)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.templates import xcom
from release_pipelines.spec.feature import Ended, Feature, FeatureTask, Scene, Slot
from release_pipelines.spec.stages import retire_after

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec

STEPS = ("plan", "prepare", "switch", "verify", "clean_up")
"""Names of the tasks, in order."""
CRITICAL = STEPS[:-1]
"""Tasks that end the rollback when they fail: the following ones do not run, and a person is called."""


class RollbackFeature(Feature):
    """A group of tasks that serves every gate of the last environment."""

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment != spec.production.name:
            return
        for number, name in enumerate(STEPS):
            role = name if name in CRITICAL else None
            make = _plan if name == "plan" else partial(_step, name)
            yield FeatureTask(name, Slot.ROLLBACK, make, group="rollback", order=number, role=role)

    def explain(self, ended: Ended) -> None:
        """The next rollback's form lists the versions that are good now."""
        from release_pipelines.features.rollback.operators.known import keep_good

        keep_good(ended)


def _plan(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.rollback.operators.planned import RollbackPlanOperator

    return RollbackPlanOperator(
        task_id=task_id,
        target=scene.target,
        release=scene.release,
        deployment=xcom(scene.id_of(Slot.DEPLOY), "deployment"),
        paths=scene.spec.app.smoke_test,
        retire_after=retire_after(scene.spec),
        trigger_rule="all_done",
        **scene.queue,
    )


def _step(name: str, task_id: str, scene: Scene) -> Any:
    return step(name, task_id, xcom(scene.id_of(Slot.ROLLBACK)), **scene.queue)


def step(name: str, task_id: str, plan: str, **common: Any) -> Any:
    """One of the tasks that follow the plan.

    :param name: of :data:`STEPS`.
    :param plan: template of the plan.
    :param common: further arguments of the operator, like ``queue``.
    """
    from release_pipelines.features.rollback.operators import planned

    operators = {
        "prepare": planned.RollbackPrepareOperator,
        "switch": planned.RollbackSwitchOperator,
        "verify": planned.RollbackVerifyOperator,
        "clean_up": planned.RollbackCleanupOperator,
    }
    more: dict[str, Any] = {"retries": 3} if name == "verify" else {}
    return operators[name](task_id=task_id, plan=plan, **more, **common)


FEATURE = RollbackFeature()
