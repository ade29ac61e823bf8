"""The tasks that all features bring to a release, each with its id in the graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from release_pipelines.core.errors import ExtensionError
from release_pipelines.spec.feature import FEATURES, OF_ENVIRONMENTS, Feature, FeatureTask, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.own_stages import Place
    from release_pipelines.spec.release import ReleaseSpec

WORKING = (
    Slot.LEASE,
    Slot.HEARTBEAT,
    Slot.DEPLOY,
    Slot.AFTER_DEPLOY,
    Slot.CHECK,
    Slot.STAGE,
    Slot.IN_STAGE,
    Slot.BEFORE_PROMOTE,
)
"""What is done in an environment under its lease, up to its gate."""


@dataclass(frozen=True)
class PlacedTask:
    """A task with its id in the DAG.

    :param place: where an app's file has put it; None: where its feature has.
    """

    task: FeatureTask
    environment: str | None
    group: str | None
    place: Place | None = None

    @property
    def id(self) -> str:
        """The id in the DAG."""
        return f"{self.group}.{self.task.task_id}" if self.group else self.task.task_id

    @property
    def slot(self) -> Slot:
        """Where it has its place."""
        return self.task.slot


def group_of(task: FeatureTask, environment: str | None) -> str | None:
    """The task group that a task stands in."""
    if task.group is not None:
        return task.group or None
    # Outside of its group: a group that leads back into another is drawn after it.
    if task.slot is Slot.BEFORE_ENVIRONMENT:
        return f"before_{environment}"
    inside = task.slot in (*WORKING, Slot.PROMOTE, Slot.RETURN_LEASE)
    return environment if inside else None


def placed_tasks(spec: ReleaseSpec) -> list[PlacedTask]:
    """The tasks of all features in the order of their slots, where their features have put them.

    :raises ExtensionError: when a feature cannot say its tasks, or brings one that has no place where it was asked for.
    """
    return sorted(_placed(spec), key=lambda it: (it.slot, it.task.order))


def _placed(spec: ReleaseSpec) -> Iterator[PlacedTask]:
    for name, feature in FEATURES.usable():
        for environment in (None, *(it.name for it in spec.environments)):
            for task in _asked(spec, name, feature, environment):
                if task.slot is not Slot.APPROVAL and (task.slot in OF_ENVIRONMENTS) != (environment is not None):
                    where = f"environment `{environment}`" if environment else "no environment"
                    raise ExtensionError(
                        f"The feature `{name}` brings the task `{task.task_id}` for {where}: slot {task.slot.name} has no "
                        "place there."
                    )
                yield PlacedTask(task, environment, group_of(task, environment))


def _asked(spec: ReleaseSpec, name: str, feature: Feature, environment: str | None) -> list[FeatureTask]:
    try:
        return list(feature.tasks(spec, environment))
    except Exception as error:  # somebody else's feature may raise anything
        raise ExtensionError(
            f"The feature `{name}` cannot say its tasks for {spec.app.name}: {type(error).__name__}: {error}."
        ) from error
