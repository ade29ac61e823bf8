"""What a release's DAG is made of, before there is a DAG: the tasks of all features, each in its place. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from release_pipelines.core.errors import ExtensionError
from release_pipelines.spec.arrangement import arranged
from release_pipelines.spec.feature import FeatureTask, Slot
from release_pipelines.spec.placing import WORKING, PlacedTask
from release_pipelines.spec.release import ReleaseSpec

BUILDING = (Slot.BEFORE_BUILD, Slot.SOURCE, Slot.BUILD, Slot.PUBLISH, Slot.AFTER_BUILD)
EXAMINING = (Slot.AFTER_ARTIFACT, Slot.EXAMINE, Slot.JUDGE)
UNJUDGED = (Slot.HEARTBEAT, Slot.RETURN_LEASE, Slot.REVERT, Slot.OUTCOME, Slot.AFTER_OUTCOME)
"""Slots whose tasks are no reason for an outcome."""


class ReleasePlan:
    """All tasks of a release, in order.

    :param spec: what the team wrote.
    :raises ExtensionError: when two features bring a task of one name, or one that has no place where it was asked for, or when
        what the app's file adds, leaves out or moves has no place any more.
    """

    def __init__(self, spec: ReleaseSpec) -> None:
        self.spec = spec
        self.environments = [environment.name for environment in spec.environments]
        self.last = self.environments[-1]
        arrangement = arranged(spec)
        if arrangement.mistakes:
            path, found, expected = arrangement.mistakes[0]
            raise ExtensionError(f"{spec.app.name}: {path}: found {found}, expected {expected}.")
        self.tasks = placed = arrangement.tasks
        seen: set[str] = set()
        for it in placed:
            if it.id in seen:
                raise ExtensionError(f"Two features bring a task `{it.id}`: each task needs an id of its own.")
            seen.add(it.id)

    def only(self, slot: Slot, environment: str | None = None) -> PlacedTask:
        """The one task in a slot that takes no more.

        :raises ExtensionError: when there is none, or more than one.
        """
        tasks = self.of(slot, environment=environment)
        if len(tasks) != 1:
            names = " and ".join(f"`{it.id}`" for it in tasks) or "none"
            raise ExtensionError(f"One task is expected in slot {slot.name} of {self.spec.app.name}, found {names}.")
        return tasks[0]

    def of(self, *slots: Slot, environment: str | None = None) -> list[PlacedTask]:
        """Tasks in these slots of an environment (None: outside of environments), in order."""
        return [it for it in self.tasks if it.slot in slots and it.environment == environment]

    def ids(self, environment: str | None) -> dict[Slot, list[str]]:
        """Slots to ids, of an environment and of what stands outside of environments; without what an app's file has put there: nothing
        of ours is made from that."""
        found: dict[Slot, list[str]] = {}
        for it in self.tasks:
            if it.environment in (None, environment) and it.place is None:
                found.setdefault(it.slot, []).append(it.id)
        return found

    @cached_property
    def order(self) -> list[PlacedTask]:
        """All tasks in the order in which they work: the first one that failed is the reason for an outcome."""
        tasks = self.of(Slot.PREFLIGHT, *BUILDING, Slot.ARTIFACT, *EXAMINING)
        for name in self.environments[:-1]:
            tasks += self.of(Slot.BEFORE_ENVIRONMENT, *WORKING, environment=name)
        parts = (
            (Slot.BEFORE_ENVIRONMENT,),
            (Slot.APPROVAL,),
            (Slot.AFTER_APPROVAL,),
            WORKING,
            (Slot.PROMOTE,),
            (Slot.ROLLBACK,),
        )
        for slots in parts:
            tasks += self.of(*slots, environment=self.last)
        return tasks

    @cached_property
    def reasons(self) -> list[str]:
        """Ids of the tasks whose failure can be the reason for an outcome, in order."""
        judged = [it for it in self.order if it.slot not in UNJUDGED]
        return [it.id for it in judged if it.slot is not Slot.ROLLBACK or it.task.role]

    @cached_property
    def roles(self) -> dict[str, str]:
        """Roles to ids."""
        return {it.task.role: it.id for it in self.tasks if it.task.role}

    def evidence(self) -> dict[str, str]:
        """Names of checks to templates, of all tasks before the approval, in their order."""
        return self._told(lambda task: task.evidence)

    def facts(self) -> dict[str, str]:
        """Names of facts to templates, likewise."""
        return self._told(lambda task: task.facts)

    def _told(self, by: Callable[[FeatureTask], Mapping[str, str]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for it in self.order:
            if it.slot is Slot.APPROVAL:
                break
            found.update(by(it.task))
        return found
