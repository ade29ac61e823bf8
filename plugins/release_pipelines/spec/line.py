"""All parts of a release in their order, from what a team wrote: the line that its page draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines.core.approvers import allowed_approvers, in_words
from release_pipelines.core.model.source import Source, without_login
from release_pipelines.core.model.stage import Check, Question, Stage, StageKind
from release_pipelines.core.status.model import Line, Planned
from release_pipelines.spec.arrangement import arranged
from release_pipelines.spec.feature import Slot
from release_pipelines.spec.placing import PlacedTask
from release_pipelines.spec.stages import stages, strategy_name, words_of

if TYPE_CHECKING:
    from release_pipelines.core.model.records import Release
    from release_pipelines.spec.release import ReleaseSpec

BUILDING = (Slot.BEFORE_BUILD, Slot.SOURCE, Slot.BUILD, Slot.PUBLISH, Slot.AFTER_BUILD, Slot.ARTIFACT)
EXAMINING = (Slot.AFTER_ARTIFACT, Slot.EXAMINE, Slot.JUDGE)
WORKING = (Slot.DEPLOY, Slot.AFTER_DEPLOY, Slot.CHECK, Slot.STAGE, Slot.BEFORE_PROMOTE)


def line_of(spec: ReleaseSpec) -> Line:
    """The line of an app's releases."""
    last = spec.production.name
    tasks = arranged(spec).tasks
    made = [Planned(name="preflight", kind="preflight", words="what can be checked beforehand")]
    made.append(Planned(name="image", kind="build", words=_named("the image of this version", tasks, BUILDING)))
    if any(it.slot in EXAMINING for it in tasks):
        made.append(Planned(name="examine", kind="examine", words=_named("what is in the image", tasks, EXAMINING)))
    for environment in spec.environments[:-1]:
        name = environment.name
        made.append(Planned(name=name, kind="environment", environment=name, words=_steps(tasks, name)))
    if any(it.slot is Slot.APPROVAL for it in tasks):
        timeout = spec.app.approval.timeout
        made.append(Planned(name="approval", kind="approval", words="a person says yes", timeout=timeout))
    known = {it.name: it for it in stages(spec)}
    for task in sorted((it for it in tasks if it.environment == last and it.slot in WORKING), key=lambda it: it.slot):
        made.append(_planned(task, known.get(task.task.task_id), last))
    made.append(Planned(name="promote", kind="promotion", environment=last, words="the version becomes stable"))
    source = spec.app.part("build", Source)
    return Line(
        stages=made,
        strategy=strategy_name(spec),
        environment=last,
        repository=without_login(source.repository) if source else None,
    )


def may_answer(spec: ReleaseSpec, release: Release) -> str:
    """Who may answer the questions of a release, in words."""
    people = allowed_approvers(
        spec.production.approvers,
        release.requester,
        release.started_by,
        self_approval=spec.app.approval.self_approval,
    )
    return in_words(people, "nobody of the approvers but who asked" if spec.production.approvers else "anybody")


def _planned(task: PlacedTask, stage: StageKind | None, environment: str) -> Planned:
    name = task.task.task_id
    if isinstance(stage, Stage):
        return Planned(name=name, kind="stage", environment=environment, words=words_of(stage), weight=stage.weight)
    if isinstance(stage, Question):
        timeout = stage.approval.timeout
        return Planned(name=name, kind="question", environment=environment, words=words_of(stage), timeout=timeout)
    if isinstance(stage, Check):
        return Planned(name=name, kind="check", environment=environment, words=words_of(stage))
    kind = "deploy" if task.slot is Slot.DEPLOY else "check"
    return Planned(name=name, kind=kind, environment=environment, words=name.replace("_", " "))


def _named(words: str, tasks: list[PlacedTask], slots: tuple[Slot, ...]) -> str:
    names = [it.task.task_id.replace("_", " ") for it in tasks if it.slot in slots]
    return f"{words}: {', '.join(names)}" if names else words


def _steps(tasks: list[PlacedTask], environment: str) -> str:
    names = [it.task.task_id.replace("_", " ") for it in tasks if it.environment == environment and it.slot in WORKING]
    return ", ".join(names)
