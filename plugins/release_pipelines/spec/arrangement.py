"""What an app leaves out of a release, puts elsewhere, and adds between ours: from the keys of its file to tasks in order. Pure.

A task that is added takes the slot of what it stands beside. So its failure goes where that of its neighbour goes: before
production is touched to the reverts of the environments before it, after that to the rollback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.placeholders import named_stages
from release_pipelines.core.ports.own_stage import OwnStagePlace
from release_pipelines.core.templates import field as field_of
from release_pipelines.core.text import one_of
from release_pipelines.spec.feature import FEATURES, FeatureTask, Scene, Slot, in_environment
from release_pipelines.spec.own_stages import OwnStageSpec, Place
from release_pipelines.spec.placing import WORKING, PlacedTask, group_of, placed_tasks

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec

_BESIDE = (Slot.HEARTBEAT, Slot.IN_STAGE)
"""Their tasks stand beside others, and nothing follows them."""
_AFTERWARDS = (Slot.PROMOTE, Slot.ROLLBACK, Slot.RETURN_LEASE, Slot.REVERT, Slot.OUTCOME, Slot.AFTER_OUTCOME)
"""Nothing of a team's own comes after these: there is no way back behind it."""
_MADE = ("gate", "stop_here", "promote_gate", "approval_gate", "preflight_gate", "complete", "nothing_to_do")
"""Tasks that the pipeline makes itself."""


class Refusal(Exception):
    """A place where nothing of a team's own can stand; found and expected, in words."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected


@dataclass
class Arrangement:
    """The tasks of a release as its app's file arranges them, and what is wrong with that."""

    spec: ReleaseSpec
    tasks: list[PlacedTask]
    mistakes: list[Mistake] = field(default_factory=list)

    # --- names ------------------------------------------------------------------------------------------------

    def named(self, name: str) -> list[PlacedTask]:
        """The tasks of that name: a whole id, or its last part where no group is named."""
        exact = [it for it in self.tasks if it.id == name]
        return exact or [it for it in self.tasks if it.task.task_id == name]

    def _anchor(self, place: Place) -> PlacedTask:
        """What is meant by a place: a task, or the first or last one of an environment."""
        environments = [it.name for it in self.spec.environments]
        if place.anchor in environments:
            if place.before:
                return next(it for it in self.tasks if it.slot is Slot.LEASE and it.environment == place.anchor)
            if place.anchor == environments[-1]:
                raise Refusal(f"`{place.anchor}`, after which nothing is judged", "a place before its promotion")
            working = [it for it in self.tasks if it.environment == place.anchor and it.slot in WORKING]
            return working[-1]
        found = self.named(place.anchor)
        if len(found) > 1:
            raise Refusal(f"`{place.anchor}`, which stands there several times", one_of([it.id for it in found], ""))
        if not found:
            working = sorted(self.tasks, key=self._working_order)
            ids = [it.id for it in working if it.slot not in (*_BESIDE, *_AFTERWARDS)]
            raise Refusal(f"`{place.anchor}`", one_of(ids, place.anchor))
        return found[0]

    # --- places -----------------------------------------------------------------------------------------------

    def landing(self, place: Place) -> tuple[Slot, str | None, int]:
        """Slot, environment and index in :attr:`tasks` of something that is put there.

        :raises Refusal: where nothing of a team's own can stand there.
        """
        anchor = self._anchor(place)
        slot, where = anchor.slot, anchor.environment
        if slot in _BESIDE:
            raise Refusal(f"`{anchor.id}`, which runs beside others", "a task that others follow")
        if slot in _AFTERWARDS and not (slot is Slot.PROMOTE and place.before):
            raise Refusal(f"a place by `{anchor.id}`", "one before the promotion: behind it there is no way back")
        return self._before(anchor, slot, where) if place.before else self._after(anchor, slot, where, place)

    def _before(self, anchor: PlacedTask, slot: Slot, where: str | None) -> tuple[Slot, str | None, int]:
        last = where == self.spec.production.name
        if slot is Slot.PREFLIGHT:
            raise Refusal(f"a place before `{anchor.id}`, with which every release begins", "one after it")
        if slot is Slot.SOURCE and not any(it.slot is Slot.SOURCE for it in self.tasks[: self._at(anchor)]):
            return self._end_of(Slot.BEFORE_BUILD, None)
        ends = {
            Slot.BUILD: Slot.SOURCE,
            Slot.ARTIFACT: Slot.AFTER_BUILD,
            Slot.EXAMINE: Slot.AFTER_ARTIFACT,
            Slot.LEASE: Slot.AFTER_APPROVAL if last else Slot.BEFORE_ENVIRONMENT,
            Slot.APPROVAL: Slot.BEFORE_ENVIRONMENT,
            Slot.PROMOTE: Slot.BEFORE_PROMOTE,
        }
        if slot in ends:
            return self._end_of(ends[slot], where)
        unbroken = [it for it in self.tasks if it.slot is slot and it.environment == where and it.task.unbroken]
        return slot, where, min(self._at(it) for it in (anchor, *unbroken[:1]))

    def _after(self, anchor: PlacedTask, slot: Slot, where: str | None, place: Place) -> tuple[Slot, str | None, int]:
        closing = [it for it in self.tasks if it.slot is slot and it.environment == where and it.task.unbroken]
        if any(self._at(it) <= self._at(anchor) for it in closing):
            raise Refusal(f"a place after `{anchor.id}`, right after which the environment is touched", "one before it")
        begins = {
            Slot.BUILD: Slot.PUBLISH,
            Slot.ARTIFACT: Slot.AFTER_ARTIFACT,
            Slot.EXAMINE: Slot.JUDGE,
            Slot.LEASE: Slot.DEPLOY,
            Slot.DEPLOY: Slot.AFTER_DEPLOY,
            Slot.APPROVAL: Slot.AFTER_APPROVAL,
        }
        if slot in begins:
            slot, index = begins[slot], self._start_of(begins[slot])
        else:
            index = self._at(anchor) + 1
        while index < len(self.tasks) and self._put_there(self.tasks[index], slot, where, place):
            index += 1
        return slot, where, index

    @staticmethod
    def _put_there(task: PlacedTask, slot: Slot, where: str | None, place: Place) -> bool:
        """Whether a task was put at the same place: those that the file names first come first."""
        return (
            (task.slot, task.environment) == (slot, where)
            and task.place is not None
            and task.place.after == place.after
        )

    def _at(self, task: PlacedTask) -> int:
        return next(n for n, it in enumerate(self.tasks) if it.id == task.id)

    def _start_of(self, slot: Slot) -> int:
        return sum(it.slot < slot for it in self.tasks)

    def _end_of(self, slot: Slot, where: str | None) -> tuple[Slot, str | None, int]:
        """The end of a slot; before what must stand right before the environment is touched."""
        closing = [
            n for n, it in enumerate(self.tasks) if it.slot is slot and it.environment == where and it.task.unbroken
        ]
        return slot, where, closing[0] if closing else sum(it.slot <= slot for it in self.tasks)

    # --- what the file asks for -------------------------------------------------------------------------------

    def leave_out(self, names: Iterable[str], demanded: Mapping[str, str]) -> None:
        """Drop what a release can do without."""
        for n, name in enumerate(names):
            where, found = f"leave_out[{n}]", self.named(name)
            can = [it.id for it in self.tasks if it.task.optional and it.id not in demanded]
            if refused := self._refused(name, found, demanded, lambda it: it.task.optional):
                self.mistakes.append((where, refused, f"what a release can do without: {one_of(can, name)}"))
            else:
                self.tasks = [it for it in self.tasks if it not in found]

    def move(self, moves: Mapping[str, Place], demanded: Mapping[str, str]) -> None:
        """Put tasks elsewhere."""
        for name, place in moves.items():
            where, found = f"move.{name}", self.named(name)
            can = [it.id for it in self.tasks if it.task.moves and it.id not in demanded]
            if refused := self._refused(name, found, demanded, lambda it: bool(it.task.moves)):
                self.mistakes.append((where, refused, f"what can stand elsewhere: {one_of(can, name)}"))
                continue
            if len(found) > 1:
                several = f"`{name}`, which stands there several times"
                self.mistakes.append((where, several, one_of([it.id for it in found], "")))
                continue
            [task] = found
            before, self.tasks = self.tasks, [it for it in self.tasks if it.id != task.id]
            try:
                slot, environment, index = self.landing(place)
                if slot not in task.task.moves or environment != task.environment:
                    raise Refusal(
                        f"`{place.anchor}`, where `{task.id}` has not yet, or no longer, what it needs",
                        self._around(task),
                    )
            except Refusal as refusal:
                self.tasks = before
                self.mistakes.append(
                    (f"{where}.{'after' if place.after else 'before'}", refusal.found, refusal.expected)
                )
                continue
            self.tasks.insert(index, replace(task, task=replace(task.task, slot=slot), place=place))

    def _around(self, task: PlacedTask) -> str:
        here = [it.id for it in self.tasks if it.environment == task.environment and it.slot in task.task.moves]
        return f"a place by {one_of(here, '')}" if here else "the place where it stands"

    @staticmethod
    def _refused(
        name: str, found: list[PlacedTask], demanded: Mapping[str, str], allowed: Callable[[PlacedTask], bool]
    ) -> str | None:
        """What is wrong with the tasks of a name, in words; None: they can be changed."""
        if not found:
            return f"`{name}`, a task that is not there"
        for it in found:
            if it.id in demanded:
                return f"`{it.id}`, which {demanded[it.id]} demands"
            if not allowed(it):
                return f"`{it.id}`, which belongs to every release"
        return None

    def miss(self, demanded: Mapping[str, str]) -> None:
        """What is demanded has to be there, however the file has got rid of it."""
        there = {it.id for it in self.tasks}
        by_files = {
            name: in_environment(it.name, f"demands[{n}]")
            for it in self.spec.environments
            for n, name in enumerate(it.part("demands", list) or [])
        }
        for name, who in demanded.items():
            if name in there:
                continue
            if name in by_files:
                known = [it.id for it in self.tasks if it.task.optional or it.task.moves]
                found = f"`{name}`, a task that {self.spec.app.name}.yaml does not have"
                self.mistakes.append((by_files[name], found, f"it there, or one of {', '.join(known)}"))
            else:
                self.mistakes.append(("", f"no task `{name}`", f"one: {who} demands it"))

    def add(self, stages: Iterable[OwnStageSpec]) -> None:
        """Put the stages of the team's own between the others."""
        where: dict[str, str] = {}
        for n, stage in enumerate(stages):
            try:
                slot, environment, index = self.landing(stage)
            except Refusal as refusal:
                key = f"stages[{n}].{'after' if stage.after else 'before'}"
                self.mistakes.append((key, refusal.found, refusal.expected))
                continue
            task = FeatureTask(stage.name, slot, _unmade)
            placed = PlacedTask(task, environment, group_of(task, environment), stage)
            if any(it.id == placed.id for it in self.tasks) or stage.name in where or self._is_taken(stage.name):
                self.mistakes.append(
                    (f"stages[{n}].name", f"`{stage.name}`, which is there already", "a name of its own")
                )
                continue
            self.tasks.insert(index, placed)
            where[stage.name] = f"stages[{n}].{stage.kind}"
        self._finish(where)

    def _finish(self, where: Mapping[str, str]) -> None:
        """Each added stage with its operator, which knows the stages that work before it.

        :param where: names of the stages to the places of their options in the file.
        """
        own = sorted((it for it in self.tasks if isinstance(it.place, OwnStageSpec)), key=self._working_order)
        earlier: dict[str, str] = {}
        labels = {name for it in self.tasks for name in it.task.evidence}
        for placed in own:
            stage = placed.place
            assert isinstance(stage, OwnStageSpec)  # noqa: S101 - only those are among them
            works_in = stage.environment or placed.environment or self.spec.environments[0].name
            make = partial(_own_stage, stage, works_in, dict(earlier))
            task = replace(placed.task, make=make, evidence={stage.label: field_of(placed.id, "sentence")})
            self.tasks[self._at(placed)] = replace(placed, task=task)
            asked = {name for text in stage.work.texts(stage.options) for name in named_stages(text)}
            for name in sorted(asked - earlier.keys()):
                expected = one_of(list(earlier), name) if earlier else "a stage that works before it: there is none"
                self.mistakes.append((where[stage.name], f"`{{stages.{name}}}`", expected))
            if stage.label in labels:
                found = f"`{stage.label}`, which the approval has already"
                self.mistakes.append((f"{where[stage.name].rpartition('.')[0]}.evidence", found, "words of its own"))
            labels.add(stage.label)
            earlier[stage.name] = placed.id

    def _working_order(self, task: PlacedTask) -> tuple[int, int, int]:
        """Where a task works among all: environment after environment, and what is before the approval before it."""
        names = [it.name for it in self.spec.environments]
        number = names.index(task.environment) if task.environment else -1
        before = (Slot.BEFORE_ENVIRONMENT, Slot.APPROVAL, Slot.AFTER_APPROVAL)
        rank = before.index(task.slot) if task.slot in before else len(before)
        return number, rank, self._at(task)

    def _is_taken(self, name: str) -> bool:
        """Whether a gate, a marker or a group is called like that."""
        environments = [it.name for it in self.spec.environments]
        groups = {it.group for it in self.tasks} | {*environments, *(f"before_{it}" for it in environments)}
        return name in _MADE or name in groups or name.startswith("revert_")


def arranged(spec: ReleaseSpec) -> Arrangement:
    """All tasks of a release as its app's file arranges them.

    :raises ExtensionError: when a feature cannot say its tasks.
    """
    arrangement = Arrangement(spec, placed_tasks(spec))
    app = spec.app
    demanded = demands_of(spec)
    arrangement.leave_out(app.part("leave_out", list) or [], demanded)
    arrangement.move(app.part("move", dict) or {}, demanded)
    arrangement.miss(demanded)
    arrangement.add(app.part("stages", list) or [])
    return arrangement


def demands_of(spec: ReleaseSpec) -> dict[str, str]:
    """Ids of the tasks that an app can neither leave out nor put elsewhere, to who demands them, in words."""
    demanded: dict[str, str] = {}
    for _, feature in FEATURES.usable():
        demanded.update(feature.demands(spec))
    return demanded


def own_stage_seconds(spec: ReleaseSpec, environment: str) -> float:
    """The longest time that the team's own stages may take under an environment's lease, in seconds."""
    if not spec.app.part("stages", list):
        return 0.0
    own = [it.place for it in arranged(spec).tasks if it.environment == environment and it.slot in WORKING]
    return sum(it.longest for it in own if isinstance(it, OwnStageSpec))


def place_in(spec: ReleaseSpec, environment: str, *, image: bool = True) -> OwnStagePlace:
    """Where a stage works, and what is allowed there."""
    where = spec.environment(environment)
    return OwnStagePlace(
        environment=environment,
        last=where is spec.production,
        operators_allowed=where.part("operators_allowed", list) or [],
        dags_allowed=where.part("dags_allowed", list) or [],
        image=image,
    )


def _unmade(task_id: str, scene: Scene) -> Any:
    raise AssertionError(f"{task_id} has no operator yet")


def _own_stage(stage: OwnStageSpec, environment: str, earlier: Mapping[str, str], task_id: str, scene: Scene) -> Any:
    """The operator of a stage."""
    from release_pipelines.core.templates import xcom
    from release_pipelines.spec.stages import judged_before
    from release_pipelines.spec.target import target

    own = f"{scene.environment}.{stage.name}"
    judged = judged_before(scene.spec, scene.tasks, own) if scene.last else None
    queue = scene.spec.environment(environment).queue
    given: dict[str, Any] = {
        "target": target(scene.spec, environment),
        "artifact": scene.artifact,
        "version": scene.version,
        "release": scene.release,
        "earlier": {name: xcom(it) for name, it in earlier.items()},
        "timeout": stage.timeout,
        "tries_again": stage.retries,
        "stop_after": stage.stop_after,
        "continue_when": stage.continue_when,
        "keep_output": stage.keep_output,
        "place": place_in(scene.spec, environment),
        **({"judged": judged, "lease": scene.lease, "deployment": scene.deployment} if judged else {}),
        **({"queue": queue} if queue else {}),
    }
    return stage.work.operator(task_id, stage.options, given)
