"""The last environment: the app's strategy, stage by stage, with the way back beside it.

Which task has which trigger rule was tried in many failures; docs/architecture.md says why each is as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow.sdk import TaskGroup, TriggerRule

from release_pipelines.core.capacity import capacity_of
from release_pipelines.core.model.stage import Check, Question, Stage, StageKind
from release_pipelines.core.model.target import Target
from release_pipelines.core.strategies.stages import retire_after, stages
from release_pipelines.core.templates import xcom
from release_pipelines.features.approval.operators import StepApprovalOperator
from release_pipelines.features.checks.operators import CheckOperator, PreviewTestOperator
from release_pipelines.features.deployment.operators import (
    CanaryDeployOperator,
    PreviewDeployOperator,
    RollingDeployOperator,
)
from release_pipelines.features.lease.operators import GiveBackLeaseOperator, HoldLeaseOperator, TakeLeaseOperator
from release_pipelines.features.promotion.operators import PromoteOperator
from release_pipelines.features.rollback.operators.planned import RollbackPlanOperator
from release_pipelines.features.stage.operators import StageOperator
from release_pipelines.pipeline.common import ARTIFACT, COLOURS, RELEASE, queue_of
from release_pipelines.pipeline.gates import GateOperator
from release_pipelines.pipeline.rollback import rollback_group
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.target import target


@dataclass(frozen=True)
class Production:
    """What the rest of the DAG needs to know of production."""

    end: Any
    """The last task: the teardown that gives the lease back."""
    deploy: str
    """Id of the first task that changes something."""
    order: list[str]
    """Ids of the tasks in the order in which they work."""


def production(spec: ReleaseSpec, name: str, before: Any, complete: Any) -> Production:
    """The group of the last environment, and the rollback group beside it.

    :param name: the environment's name.
    :param before: the gate of the approval.
    :param complete: the task that marks a good end.
    """
    where, queue = target(spec, name), queue_of(spec, name)
    common: dict[str, Any] = {"target": where, "release": RELEASE, **queue}
    lease_xcom = xcom(f"{name}.take_lease")
    with TaskGroup(group_id=name, prefix_group_id=True, ui_color=COLOURS["production"]):
        lease = TakeLeaseOperator(task_id="take_lease", when_busy=spec.app.when_busy, approved=ARTIFACT, **common)
        hold = HoldLeaseOperator(task_id="hold_lease", target=where, lease=lease_xcom, **queue)
        work: dict[str, Any] = {"artifact": ARTIFACT, "lease": lease_xcom, **common}
        deploy = _deploy(spec, where, work)
        work["deployment"] = xcom(deploy.task_id)
        steps = [*_preview_test(spec, where, work, queue), *_stages(spec, work)]
        ids = [task.task_id for task in (lease, deploy, *steps)]
        gate = GateOperator(
            task_id="gate",
            watched=ids,
            touches=deploy.task_id,
            go_on=f"{name}.promote",
            roll_back=["rollback.plan"],
        )
        promote = PromoteOperator(task_id="promote", **_promotion(spec), **work)
        promote_gate = GateOperator(
            task_id="promote_gate",
            watched=[promote.task_id],
            touches=promote.task_id,
            go_on="complete",
            roll_back=["rollback.plan"],
        )
    deployed = xcom(deploy.task_id, "deployment")
    give_back = GiveBackLeaseOperator(
        task_id="give_back_lease",
        lease=lease_xcom,
        deployment=deployed,
        plan=xcom("rollback.plan", "plan"),
        retire_after=retire_after(spec),
        **common,
    )
    plan, clean_up = rollback_group(
        partial(
            RollbackPlanOperator,
            deployment=deployed,
            paths=spec.app.smoke_test,
            retire_after=retire_after(spec),
            trigger_rule=TriggerRule.ALL_DONE,
            **common,
        ),
        **queue,
    )
    chain: Any = before >> lease.as_setup() >> deploy
    lease >> hold
    for step in steps:
        chain = chain >> step
    chain >> gate >> promote >> promote_gate >> complete
    [gate, promote_gate] >> plan
    # `complete` stays out of the lease's scope: a run with nothing to do skips the lease, and all that is in its scope.
    # No gate stands right before the teardown: it would skip it together with the arm that it did not choose.
    clean_up >> give_back.as_teardown(setups=lease)
    way_back = [f"rollback.{task}" for task in ("plan", "prepare", "switch", "verify")]
    return Production(give_back, deploy.task_id, [*ids, promote.task_id, *way_back])


def _deploy(spec: ReleaseSpec, where: Target, work: dict[str, Any]) -> Any:
    """The first task that changes something."""
    strategy = spec.app.strategy
    if strategy.blue_green:
        return PreviewDeployOperator(task_id="preview_deploy", **work)
    if strategy.rolling:
        return RollingDeployOperator(task_id="rolling_deploy", **work)
    first = next(stage for stage in stages(spec) if isinstance(stage, Stage))
    replicas = capacity_of(first, where, where.workload.replicas)
    return CanaryDeployOperator(task_id="canary_deploy", replicas=replicas, **work)


def _preview_test(spec: ReleaseSpec, where: Target, work: dict[str, Any], queue: dict[str, Any]) -> list[Any]:
    """A preview is asked before it gets all traffic at once."""
    if not spec.app.strategy.blue_green:
        return []
    deployment, paths = work["deployment"], spec.app.smoke_test
    return [PreviewTestOperator(task_id="preview_test", target=where, deployment=deployment, paths=paths, **queue)]


def _stages(spec: ReleaseSpec, work: dict[str, Any]) -> list[Any]:
    """One task per stage of the strategy, in order."""
    tasks, watched = [], None
    for stage in stages(spec):
        tasks.append(_task(spec, stage, watched, work))
        watched = stage if isinstance(stage, Stage) else watched
    return tasks


def _task(spec: ReleaseSpec, stage: StageKind, watched: Stage | None, work: dict[str, Any]) -> Any:
    """:param watched: the stage before, whose traffic the version has while a command or a person is waited for."""
    if isinstance(stage, Stage):
        return StageOperator(task_id=stage.name, stage=stage, **work)
    if isinstance(stage, Check):
        return CheckOperator(task_id=stage.name, verify=stage.verify, stage=watched, **work)
    return _question(spec, stage, watched, work)


def _question(spec: ReleaseSpec, stage: Question, watched: Stage | None, work: dict[str, Any]) -> Any:
    return StepApprovalOperator(
        task_id=stage.name,
        approvers=spec.production.approvers,
        self_approval=spec.app.approval.self_approval,
        wait=stage.approval.timeout,
        preflight=xcom("preflight"),
        stage=watched,
        **work,
    )


def _promotion(spec: ReleaseSpec) -> dict[str, Any]:
    """How the version that held becomes stable: a canary's traffic returns in steps, a preview's in one write."""
    strategy = spec.app.strategy
    return {
        "return_weights": strategy.canary.return_weights if strategy.canary else [],
        "keep_old": retire_after(spec) if strategy.blue_green else 0.0,
        "retire_after": retire_after(spec),
    }
