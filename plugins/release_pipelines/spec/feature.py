"""What a feature is: one thing that a release can do, with its keys, its checks, its tasks and what comes after the outcome.

A feature is a folder of :mod:`release_pipelines.features`, or an entry point ``release_pipelines.features`` of another package. The
pipeline knows none of them by name: it asks each for its tasks, and puts them where their slots say. Gates, the order in which
failures are looked for, the reverts, the rollback and the approval's evidence follow from the tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from release_pipelines.core.seams import Seam
from release_pipelines.core.templates import xcom

if TYPE_CHECKING:
    from release_pipelines.core.model.analysis import Analysis
    from release_pipelines.core.model.notice import Waiting
    from release_pipelines.core.model.records import ReleaseDetail
    from release_pipelines.core.model.target import Target
    from release_pipelines.spec.environment import EnvironmentSpec
    from release_pipelines.spec.release import ReleaseSpec


class Slot(IntEnum):
    """Where in a release a task has its place, in the order of a release.

    Packages of others use ``BEFORE_BUILD``, ``AFTER_BUILD``, ``AFTER_ARTIFACT``, ``EXAMINE``, ``JUDGE``, ``BEFORE_ENVIRONMENT``, ``AFTER_DEPLOY``, ``IN_STAGE``,
    ``BEFORE_PROMOTE`` and ``AFTER_OUTCOME``; the other slots are those of a release's own tasks.
    """

    PREFLIGHT = 10
    BEFORE_BUILD = 20
    """After preflight, where something is built."""
    SOURCE = 30
    BUILD = 40
    """Side by side."""
    PUBLISH = 50
    AFTER_BUILD = 60
    """After the image is pushed, before it is recorded as the release's artifact; not where a recorded digest is released."""
    ARTIFACT = 70
    AFTER_ARTIFACT = 75
    """After the digest is recorded, before it is examined; also where a recorded one is released."""
    EXAMINE = 80
    """The digest is looked at before anything is deployed, also where a recorded one is released: side by side."""
    JUDGE = 90
    """What was found about it is judged: one after the other."""
    BEFORE_ENVIRONMENT = 100
    """Before an environment is touched; for the last one before the approval, which shows its evidence."""
    LEASE = 110
    HEARTBEAT = 115
    """Beside everything that holds the lease."""
    DEPLOY = 120
    AFTER_DEPLOY = 130
    """After the version is deployed in an environment, before it is checked and, in the last one, gets traffic."""
    CHECK = 140
    STAGE = 150
    IN_STAGE = 155
    """Beside the stages of the last environment, from the first to the last."""
    BEFORE_PROMOTE = 160
    """After the last stage, before the version becomes stable."""
    APPROVAL = 200
    AFTER_APPROVAL = 205
    """After the approval, right before the last environment is touched."""
    PROMOTE = 210
    ROLLBACK = 220
    RETURN_LEASE = 230
    REVERT = 240
    """Reverts the changes in an environment before the last one."""
    OUTCOME = 250
    AFTER_OUTCOME = 260
    """After the outcome is recorded, whatever it is; changes it no more."""


OF_ENVIRONMENTS = (
    Slot.BEFORE_ENVIRONMENT, Slot.LEASE, Slot.HEARTBEAT, Slot.DEPLOY, Slot.AFTER_DEPLOY, Slot.CHECK, Slot.STAGE, Slot.IN_STAGE,
    Slot.BEFORE_PROMOTE, Slot.AFTER_APPROVAL, Slot.PROMOTE, Slot.ROLLBACK, Slot.RETURN_LEASE, Slot.REVERT,
)  # fmt: skip
"""Slots that every environment has."""


class Mistake(NamedTuple):
    """A mistake in the files: ``path`` in the app's file (or :func:`in_environment`), the value found there and the one expected, in words."""

    path: str
    found: str
    expected: str


def in_environment(name: str, path: str) -> str:
    """The path of a mistake that stands in an environment's file.

    :param name: of the environment.
    """
    return f"{name}.yaml: {path}"


@dataclass(frozen=True)
class Key:
    """A key that a feature adds to the app's or the environment's file.

    :param kind: its type: a pydantic model, or anything that pydantic knows.
    :param default: its value where the file has none, or a function that returns it.
    :param description: for the JSON Schema.
    """

    kind: Any
    default: Any = None
    description: str | None = None


@dataclass(frozen=True)
class FeatureTask:
    """One task of a release.

    :param task_id: its id without that of its group.
    :param slot: where it has its place.
    :param make: makes the operator: called inside the DAG with ``task_id`` and the task's :class:`Scene`.
    :param group: the task group that it stands in; None: that of its slot.
    :param order: among tasks of one slot, lower ones come first.
    :param role: its name in the outcome's facts.
    :param touches: whether it changes something outside that has to be reverted after a failure.
    :param evidence: for the approval: names of checks to templates of their results. They are kept with the digest, and shown
        again when it is released anew.
    :param facts: for the approval: what is told beside them, and is true of this release only.
    :param revert: makes the task that reverts the change of this one; it runs when a later gate fails.
    :param optional: whether an app's file may leave it out.
    :param moves: the slots to which an app's file may move it, within its environment; empty: it stays where it is.
    :param unbroken: whether it has to stand right before its environment is touched: nothing of a team's own comes between.
    """

    task_id: str
    slot: Slot
    make: Callable[[str, Scene], Any]
    group: str | None = None
    order: int = 0
    role: str | None = None
    touches: bool = False
    evidence: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    revert: Callable[[str, Scene], Any] | None = None
    optional: bool = False
    moves: tuple[Slot, ...] = ()
    unbroken: bool = False


@dataclass(frozen=True)
class Scene:
    """Where a task stands: the specification, its environment, and templates of what other tasks of the release give.

    :param spec: what the team wrote.
    :param environment: the environment's name; None outside of environments.
    :param release: template of the release's id.
    :param version: template of the version that is released.
    :param artifact: template of the artifact, as JSON.
    :param preflight: template of what preflight found, as JSON.
    :param ids: ids of the tasks that stand in a slot of the same environment, or outside of environments.
    :param evidence: names of checks to templates, of all tasks before.
    :param facts: names of facts to templates, of all tasks before.
    :param tasks: ids of all tasks in the order in which they work, for the outcome.
    :param roles: roles to ids, for the outcome.
    """

    spec: ReleaseSpec
    environment: str | None
    release: str
    version: str
    artifact: str
    preflight: str
    ids: Mapping[Slot, list[str]] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    roles: Mapping[str, str] = field(default_factory=dict)

    @property
    def last(self) -> bool:
        """Whether the environment is the last one: the one with stages and approval."""
        return self.environment == self.spec.production.name

    @property
    def target(self) -> Target:
        """The app in this environment."""
        from release_pipelines.spec.target import target

        assert self.environment is not None  # noqa: S101 - slots of environments have one
        return target(self.spec, self.environment)

    @property
    def queue(self) -> dict[str, Any]:
        """The queue of the environment's workers, as an operator's argument."""
        queue = self.spec.environment(self.environment or self.spec.production.name).queue
        return {"queue": queue} if queue else {}

    def id_of(self, slot: Slot) -> str:
        """Id of the first task in a slot."""
        return self.ids[slot][0]

    @property
    def built(self) -> str:
        """Id of the task that gives the artifact: the last one that builds, or resolves, it."""
        return next(self.ids[slot][-1] for slot in (Slot.PUBLISH, Slot.BUILD, Slot.SOURCE) if self.ids.get(slot))

    @property
    def lease(self) -> str:
        """Template of the environment's lease, as JSON."""
        return xcom(self.id_of(Slot.LEASE))

    @property
    def deployment(self) -> str:
        """Template of what the deploying task returned, as JSON."""
        return xcom(self.id_of(Slot.DEPLOY))

    @property
    def work(self) -> dict[str, Any]:
        """What operators need that work on the version in this environment."""
        return {
            "target": self.target,
            "release": self.release,
            "artifact": self.artifact,
            "lease": self.lease,
            "deployment": self.deployment,
            **self.queue,
        }


class Problem(NamedTuple):
    """Why a release cannot begin."""

    sentence: str
    urgent: bool = False
    """Whether an urgent release goes on all the same."""
    passing: bool = False
    """Whether it stands in the way only of what begins now, and not of what is planned for later."""


@dataclass
class Ended:
    """A release, or a person's rollback, whose outcome is recorded; or one in which people have to be called, or asked.

    :param context: Airflow's context of the task that recorded it.
    :param detail: the release as the history tells it.
    :param target: the app in the environment that counts.
    :param environment: that environment's settings.
    :param incident: whether the outcome is one that needs a report.
    :param analyses: how each stage was judged, by its name.
    :param steps: what is to be done now, in Markdown; filled by features that explain.
    :param report: the incident report in Markdown; filled by features that explain.
    """

    context: Any
    detail: ReleaseDetail
    target: Target
    environment: EnvironmentSpec
    incident: bool
    analyses: Mapping[str, Analysis] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    report: str | None = None


class Feature:
    """Base of all features: one that adds nothing."""

    app_keys: Mapping[str, Key] = {}
    """Keys of the app's file."""
    environment_keys: Mapping[str, Key] = {}
    """Keys of the environment's file."""

    def mistakes(self, spec: ReleaseSpec) -> Iterable[Mistake]:
        """What does not fit between the files, as far as this feature is concerned."""
        return ()

    def preflight(self, spec: ReleaseSpec) -> Iterable[Problem]:
        """What stands in the way of a release now; asked in preflight's task."""
        return ()

    def before_build(self, spec: ReleaseSpec, version: str) -> Iterable[Problem]:
        """What stands in the way of a version of which no digest is recorded yet; asked in preflight's task."""
        return ()

    def remarks(self, spec: ReleaseSpec) -> Iterable[str]:
        """What is worth knowing before a release, and stands in nobody's way: a sentence each, without a full stop."""
        return ()

    def summary(self, spec: ReleaseSpec) -> str | None:
        """What of this feature a release uses, in a few words: preflight tells it, the approver sees it, the history keeps it."""
        return None

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterable[FeatureTask]:
        """The feature's tasks.

        :param environment: name of the environment that is asked for; None: those outside of environments.
        """
        return ()

    def demands(self, spec: ReleaseSpec) -> Mapping[str, str]:
        """Ids of tasks, like ``scan.bandit``, that the app may neither leave out nor move, to who demands them, in words.

        What is installed, an environment's file or a policy can demand what an app's file could do without otherwise.
        """
        return {}

    def explain(self, ended: Ended) -> None:
        """After the outcome: attach what explains it. What is raised is noted, and changes nothing."""

    def alarm(self, ended: Ended, sentence: str) -> None:
        """In mid-release: tell people what cannot wait for the outcome. What is raised is noted, and changes nothing."""

    def ask(self, ended: Ended, waiting: Waiting) -> None:
        """In mid-release: tell people that one of them is waited for. What is raised is noted, and changes nothing."""

    def tell(self, ended: Ended) -> None:
        """After it is explained: tell people. What is raised is noted, and changes nothing."""


FEATURES: Seam[Feature] = Seam("feature", "release_pipelines.features", Feature)
