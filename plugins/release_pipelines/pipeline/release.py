"""How a release is put together: one DAG from one specification.

The tasks come from features (:mod:`release_pipelines.spec.feature`); here they are put in order, and gates between them send every
failure to the ways back. Which task has which trigger rule was tried in many failures; docs/architecture.md says why each is as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, TriggerRule, get_parsing_context
from airflow.sdk.definitions.param import ParamsDict

from release_pipelines.airflow.forms import TRIES, TRY_SECONDS
from release_pipelines.airflow.gates import SAME_IMAGES, GateOperator, PreflightGateOperator
from release_pipelines.airflow.groups import group
from release_pipelines.airflow.links import linked
from release_pipelines.airflow.words import describe
from release_pipelines.core.approvers import in_words
from release_pipelines.core.errors import ExtensionError
from release_pipelines.core.model.links import LinkSettings
from release_pipelines.core.templates import field, xcom
from release_pipelines.pipeline.form import form
from release_pipelines.pipeline.plan import BUILDING, ReleasePlan
from release_pipelines.spec.feature import Scene, Slot
from release_pipelines.spec.frozen import dag_id
from release_pipelines.spec.placing import WORKING, PlacedTask
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.stages import plan_in_words

log = logging.getLogger(__name__)


def release_dag(spec: ReleaseSpec) -> DAG:
    """The DAG ``release_<app>`` of an app.

    :param spec: what the team wrote, with everything that belongs to it.
    """
    return _dag(spec)


def _summary(spec: ReleaseSpec, names: list[str]) -> str:
    """The app in Airflow's list of DAGs: what it is, how and where it is released, and whom every release waits for."""
    what = (spec.app.description or f"Releases {spec.app.name}").rstrip(".")
    who = in_words(spec.production.approvers, "a person")
    return (
        f"{what}. By {spec.app.strategy.name.replace('_', '-')} to {', then '.join(names)}, where it waits for {who}."
    )


def _dag(spec: ReleaseSpec, *, auto_register: bool = True) -> DAG:
    app, names = spec.app, [environment.name for environment in spec.environments]
    with DAG(
        dag_id=dag_id(app.name),
        description=_summary(spec, names),
        schedule=None,
        catchup=False,
        owner_links={},
        tags=["release", app.name],
        default_args={"owner": app.owner, "retries": TRIES, "retry_delay": TRY_SECONDS},
        doc_md=_guide(spec, names),
        auto_register=auto_register,
    ) as dag:
        _Assembly(ReleasePlan(spec)).build()
    describe(dag)
    # Last: each operator copies its DAG's form, at the cost of an eighth of the parse time, and a run reads the DAG's anyway.
    dag.params = ParamsDict(form(spec, names))
    return dag


def release_dags(specs: Iterable[ReleaseSpec], *, alone: bool = False) -> dict[str, DAG]:
    """The DAGs of several apps, by their ids. A feature that fails for one app takes no other app's DAG away.

    :param specs: what the teams wrote.
    :param alone: whether there is one app only, that of a task which is to run: then an error is raised.
    :raises ExtensionError: see ``alone``.
    """
    dags = {}
    for spec in specs:
        try:
            dags[dag_id(spec.app.name)] = _dag(spec, auto_register=False)  # or half a DAG would be one, too
        except ExtensionError as error:
            if alone:
                raise
            log.error("There is no DAG for %s. %s", spec.app.name, error)
    return dags


def dag_errors(specs: Iterable[ReleaseSpec]) -> list[str]:
    """A sentence for each app whose DAG cannot be made."""
    errors = []
    for spec in specs:
        try:
            _dag(spec, auto_register=False)  # or Airflow takes it for a DAG of the file that asks
        except ExtensionError as error:
            errors.append(f"{spec.app.name}: {error}")
    return errors


class _Assembly:
    """Makes the operators of a plan, and leads them to each other.

    A gate is upstream only of the tasks that it chooses between, so that a rollback never leads to ``complete``. It knows all reverts of
    what was done before it, because one that it did not know would run when those that it chooses between are skipped.
    """

    def __init__(self, plan: ReleasePlan) -> None:
        self.plan = plan
        self.running = get_parsing_context().task_id
        """The task that this process parses the DAG for; None: it is no task's process."""
        self.scenes = {name: self._scene(name) for name in (None, *plan.environments)}
        self.groups: dict[str, TaskGroup] = {}
        self.operators: dict[str, Any] = {}
        self.reverts: list[Any] = []
        """Tasks that take back what stands before the next gate."""
        self.lasting_reverts: list[Any] = []
        """Those of them that gates of the last environment choose, too."""
        self.ends: list[Any] = []
        """What the outcome comes after."""

    def build(self) -> None:
        plan = self.plan
        # One of the ways to the end was taken.
        self.complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.ONE_SUCCESS)
        before = self._start()
        for name in plan.environments[:-1]:
            before = self._environment(name, before)
        self._last_environment(self._approval(before))
        self._outcome()

    # --- tasks ------------------------------------------------------------------------------------------------

    def _scene(self, environment: str | None) -> Scene:
        plan = self.plan
        ids = plan.ids(environment)
        preflight = ids[Slot.PREFLIGHT][0]
        return Scene(
            spec=plan.spec,
            environment=environment,
            release=field(preflight, "release"),
            version=field(preflight, "version"),
            artifact=xcom(ids[Slot.ARTIFACT][0]),
            preflight=xcom(preflight),
            ids=ids,
            evidence=plan.evidence(),
            facts=plan.facts(),
            tasks=plan.reasons,
            roles={**plan.roles, "complete": "complete"},
        )

    def _make(self, placed: PlacedTask) -> Any:
        scene = self.scenes[placed.environment]
        try:
            with self._group(placed.group) if placed.group else nullcontext():
                operator = self._operator(placed.id, placed.task.make, placed.task.task_id, scene)
        except ExtensionError:
            raise
        except Exception as error:  # somebody else's feature may raise anything
            raise ExtensionError(f"The task `{placed.id}` cannot be made: {type(error).__name__}: {error}.") from error
        self.operators[placed.id] = operator
        if placed.task.revert is not None:
            name = f"revert_{placed.id.replace('.', '_')}"
            revert = self._operator(name, placed.task.revert, name, scene)
            self._reverted_by(revert, keep=placed.environment == self.plan.last)
        return operator

    def _operator(self, task: str, make: Callable[[str, Scene], Any], name: str, scene: Scene) -> Any:
        """A task's operator. To one that runs the others are names around it: importing what they are made of is most of the parsing."""
        if self.running not in (None, task):
            return EmptyOperator(task_id=name)
        place = scene.spec.environment(scene.environment) if scene.environment else scene.spec.production
        return linked(make(name, scene), place.part("links", LinkSettings) or LinkSettings())

    def _group(self, name: str) -> TaskGroup:
        if name not in self.groups:
            self.groups[name] = group(name, self.plan.environments)
        return self.groups[name]

    def _reverted_by(self, operator: Any, *, keep: bool = False) -> None:
        self.reverts.append(operator)
        self.ends.append(operator)
        if keep:
            self.lasting_reverts.append(operator)

    def _gate(self, task_id: str, watched: list[str], go_on: str, targets: list[Any], **more: Any) -> Any:
        """A gate after ``watched``, that goes on, or sends the run to the ways back where anything may have been changed."""
        return GateOperator(
            task_id=task_id,
            watched=watched,
            touches=self._first_touch(watched),
            go_on=go_on,
            roll_back=[it.task_id for it in targets],
            **more,
        )

    def _first_touch(self, watched: list[str]) -> str:
        """The first task of the release so far that changes something."""
        touching = [it.id for it in self.plan.order if it.task.touches and it.id in self.operators]
        return touching[0] if touching else watched[0]

    # --- parts ------------------------------------------------------------------------------------------------

    def _start(self) -> Any:
        """Preflight, the build or what stands for it, and the artifact."""
        plan = self.plan
        preflight, *checks = plan.of(Slot.PREFLIGHT)
        start = self._make(preflight)
        last, _ = self._following(checks, start)
        artifact = plan.only(Slot.ARTIFACT)
        gate = PreflightGateOperator(
            task_id="preflight_gate",
            preflight=preflight.id,
            build=plan.of(*BUILDING)[0].id,
            recorded=artifact.id,
            no_op="nothing_to_do",
        )
        nothing = EmptyOperator(task_id="nothing_to_do")
        recorded = self._make(artifact)
        last >> gate >> [recorded, nothing]
        nothing >> self.complete
        same = EmptyOperator(task_id=SAME_IMAGES)
        self._build(gate) >> recorded >> same >> self.complete
        last, _ = self._following(plan.of(Slot.AFTER_ARTIFACT), recorded)
        last = self._side_by_side(plan.of(Slot.EXAMINE), last)
        return self._following(plan.of(Slot.JUDGE), last)[0]

    def _build(self, before: Any) -> Any:
        """The tasks that build stand side by side between those that find the source and those that publish."""
        last, _ = self._following(self.plan.of(Slot.BEFORE_BUILD, Slot.SOURCE), before)
        last = self._side_by_side(self.plan.of(Slot.BUILD), last)
        return self._following(self.plan.of(Slot.PUBLISH, Slot.AFTER_BUILD), last)[0]

    def _side_by_side(self, placed: list[PlacedTask], after: Any) -> Any:
        operators = [self._make(it) for it in placed]
        if operators:
            after >> operators
        return operators or after

    def _following(self, placed: list[PlacedTask], after: Any) -> tuple[Any, list[str]]:
        for it in placed:
            operator = self._make(it)
            after >> operator
            after = operator
        return after, [it.id for it in placed]

    def _environment(self, name: str, before: Any) -> Any:
        """Every environment but the last: changed and checked under its lease; reverted when a later decision says no."""
        plan = self.plan
        first, ids = self._following(plan.of(Slot.BEFORE_ENVIRONMENT, environment=name), before)
        lease = plan.only(Slot.LEASE, name)
        taken = self._make(lease)
        for placed in plan.of(Slot.REVERT, environment=name):
            self._reverted_by(self._make(placed))
        work = [it for it in plan.of(*WORKING, environment=name) if it.id != lease.id]
        first >> taken.as_setup()
        last, done = self._following(work, taken)
        with self._group(name):
            gate = self._gate(
                "gate",
                [*ids, lease.id, *done],
                self._first_after(name),
                self.reverts,
                stop_at=name,
                stop=f"{name}.stop_here",
            )
            stop = EmptyOperator(task_id="stop_here")
        last >> gate >> self.reverts
        # A way back takes the lease itself, under the same name: not before it has been given back.
        for placed in plan.of(Slot.RETURN_LEASE, environment=name):
            give_back = self._make(placed)
            (
                last
                >> give_back.as_teardown(setups=taken)
                >> [self.operators[it.id] for it in plan.of(Slot.REVERT, environment=name)]
            )
        gate >> stop >> self.complete
        return gate

    def _first_after(self, name: str) -> str:
        """Id of the first task after an environment."""
        plan = self.plan
        following = plan.environments[plan.environments.index(name) + 1]
        slots = [Slot.BEFORE_ENVIRONMENT, Slot.APPROVAL if following == plan.last else Slot.LEASE]
        return plan.of(*slots, environment=following)[0].id

    def _approval(self, before: Any) -> Any:
        """A person lets the release into the last environment; what has to come before it shows its evidence."""
        plan = self.plan
        slots = (Slot.BEFORE_ENVIRONMENT, Slot.APPROVAL, Slot.AFTER_APPROVAL)
        last, ids = self._following(plan.of(*slots, environment=plan.last), before)
        lease = plan.only(Slot.LEASE, plan.last)
        gate = self._gate("approval_gate", ids, lease.id, self.reverts)
        last >> gate
        if self.reverts:
            gate >> self.reverts
        return gate

    def _last_environment(self, before: Any) -> None:
        """The stages, the promotion, and the way back beside them."""
        plan, name = self.plan, self.plan.last
        lease = plan.only(Slot.LEASE, name)
        taken = self._make(lease)
        before >> taken.as_setup()
        for placed in plan.of(Slot.HEARTBEAT, environment=name):
            taken >> self._make(placed)
        last, ids = self._following(plan.of(Slot.DEPLOY, Slot.AFTER_DEPLOY, environment=name), taken)
        beside = [self._make(it) for it in plan.of(Slot.IN_STAGE, environment=name)]
        if beside:
            last >> beside
        last, stages = self._following(plan.of(Slot.CHECK, Slot.STAGE, environment=name), last)
        rest = plan.of(Slot.BEFORE_PROMOTE, environment=name)
        last, more = self._following(rest, [last, *beside] if beside else last)
        ids = [lease.id, *ids, *stages, *(it.id for it in plan.of(Slot.IN_STAGE, environment=name)), *more]
        rollback = [self._make(it) for it in plan.of(Slot.ROLLBACK, environment=name)]
        for one, other in pairwise(rollback):
            one >> other
        ways = [rollback[0], *self.lasting_reverts]
        promoting = plan.of(Slot.PROMOTE, environment=name)
        touches = next(it.id for it in plan.order if it.task.touches and it.environment == name)
        with self._group(name):
            gate = GateOperator(
                task_id="gate",
                watched=ids,
                touches=touches,
                go_on=promoting[0].id,
                roll_back=[it.task_id for it in ways],
            )
        last >> gate
        promoted, ids = self._following(promoting, gate)
        with self._group(name):
            promote_gate = GateOperator(
                task_id="promote_gate",
                watched=ids,
                touches=promoting[0].id,
                go_on="complete",
                roll_back=[it.task_id for it in ways],
            )
        promoted >> promote_gate >> self.complete
        for it in ways:
            [gate, promote_gate] >> it
        # `complete` stays out of the lease's scope: a run with nothing to do skips the lease, and all that is in its scope.
        # No gate stands right before the teardown: it would skip it together with the arm that it did not choose.
        for placed in plan.of(Slot.RETURN_LEASE, environment=name):
            give_back = self._make(placed)
            rollback[-1] >> give_back.as_teardown(setups=taken)
            self.ends.append(give_back)

    def _outcome(self) -> None:
        """The teardown that counts, and what comes after it."""
        placed = self.plan.only(Slot.OUTCOME)
        outcome = self._make(placed)
        [*self.ends, self.complete] >> outcome.as_teardown(on_failure_fail_dagrun=True)
        last = outcome
        for after in self.plan.of(Slot.AFTER_OUTCOME):
            operator = self._make(after)
            last >> operator.as_teardown()
            last = operator


def _guide(spec: ReleaseSpec, names: list[str]) -> str | None:
    if get_parsing_context().task_id:  # nobody reads it there
        return None
    return (
        f"# {spec.app.name}\n\n{spec.app.description}\n\n"
        f"Trigger with a version. It goes through {' → '.join(names)}; production waits for an approval, then: "
        f"{plan_in_words(spec)} The rollback group does the rest. To steer a running release: `release_control`; to go "
        "back later: `release_rollback`.\n\n"
        "Pink boxes are ways that were not taken: a release that went well skips `rollback`, `nothing_to_do` and whatever else would "
        "have taken it back.\n"
    )
