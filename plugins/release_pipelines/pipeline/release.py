"""How a release is put together: one DAG from one specification.

Which task has which trigger rule was tried in many failures; docs/architecture.md says why each is as it is.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, TaskGroup, TriggerRule

from release_pipelines.domain.analysis import limits
from release_pipelines.domain.release import capacity, target
from release_pipelines.operators.approval import ReleaseApprovalOperator
from release_pipelines.operators.canary import BakeOperator, CanaryStepOperator, PromoteOperator
from release_pipelines.operators.check import IntegrationTestOperator, SmokeTestOperator
from release_pipelines.operators.deploy import CanaryDeployOperator, RollBackUpdateOperator, RollingUpdateOperator
from release_pipelines.operators.gate import GateOperator, PreflightGateOperator
from release_pipelines.operators.lease import GiveBackLeaseOperator, HoldLeaseOperator, TakeLeaseOperator
from release_pipelines.operators.preflight import PreflightOperator
from release_pipelines.operators.record import RecordArtifactOperator, RecordOutcomeOperator
from release_pipelines.operators.rollback import (
    RollbackCleanupOperator,
    RollbackPlanOperator,
    RollbackSwitchOperator,
    RollbackVerifyOperator,
)
from release_pipelines.pipeline.build import build_group
from release_pipelines.pipeline.xcom import field, part, passed, xcom
from release_pipelines.spec.frozen import dag_id
from release_pipelines.spec.release import ReleaseSpec

RELEASE = field("preflight", "release")
ARTIFACT = xcom("artifact")
STAGING_LEASE_SECONDS = 900.0
# Only what may mend itself is tried again (see operators.base.explained): an API server or a database needs that long to
# come back, and a release must not go back because of it (R6).
TRIES, TRY_SECONDS = 10, 3.0
COLOURS = {"staging": "#e8f1fb", "production": "#e9f7ec", "rollback": "#fdecea"}


def release_dag(spec: ReleaseSpec) -> DAG:
    """The DAG ``release_<app>`` of an app.

    :param spec: what the team wrote, with everything that belongs to it.
    """
    app = spec.app
    names = [environment.name for environment in spec.environments]
    with DAG(
        dag_id=dag_id(app.name),
        description=app.description or f"Releases {app.name}",
        schedule=None,
        catchup=False,
        owner_links={},
        tags=["release", app.name],
        default_args={"owner": app.owner, "retries": TRIES, "retry_delay": TRY_SECONDS},
        params=_form(spec, names),
        doc_md=_guide(spec, names),
    ) as dag:
        preflight = PreflightOperator(task_id="preflight", spec=spec)
        first_build, built = build_group(spec)
        artifact = RecordArtifactOperator(
            task_id="artifact",
            artifact=xcom(built.task_id),
            known=part("preflight", "known"),
            release=RELEASE,
            trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        )
        gate = PreflightGateOperator(
            task_id="preflight_gate",
            preflight="preflight",
            build=first_build.task_id,
            recorded="artifact",
            no_op="nothing_to_do",
        )
        nothing = EmptyOperator(task_id="nothing_to_do")
        # One of the ways to the end was taken. Gates are upstream only of their own ways, so that a rollback is none.
        complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.ONE_SUCCESS)
        preflight >> gate >> [first_build, artifact, nothing]
        nothing >> complete
        built >> artifact

        before: Any = artifact
        order = ["preflight", *_build_ids(spec), "artifact"]
        undo: list[Any] = []
        for environment in names[:-1]:
            last, ids = _rolling_environment(spec, environment, before, complete, undo)
            order += ids
            before = last
        approval, approval_gate = _approval(spec, names, undo)
        before >> approval >> approval_gate
        order += ["approval"]
        end, ids = _production(spec, names[-1], approval_gate, complete)
        order += ids
        if undo:
            approval_gate >> undo
        outcome = RecordOutcomeOperator(
            task_id="outcome",
            production=names[-1],
            tasks=order,
            roles={
                "preflight": "preflight",
                "complete": "complete",
                "approval": "approval",
                "deploy": f"{names[-1]}.canary_deploy",
                "plan": "rollback.plan",
                "switch": "rollback.switch",
                "verify": "rollback.verify",
                "give_back": "give_back_lease",
            },
        )
        [*end, complete, *undo] >> outcome.as_teardown(on_failure_fail_dagrun=True)
    return dag


def _build_ids(spec: ReleaseSpec) -> list[str]:
    if spec.app.build is None:
        return ["build.resolve_digest"]
    scans = [f"scan.{scanner}" for scanner in spec.app.scan.scanners]
    tests = ["build.test"] if spec.app.build.test_target else []
    return ["resolve_commit", *tests, *scans, "build.build_image", "push_image"]


def _rolling_environment(
    spec: ReleaseSpec, name: str, before: Any, complete: Any, undo: list[Any]
) -> tuple[Any, list[str]]:
    """Every environment but the last: a rolling update, checked; undone when a later decision says no.

    :param undo: the ways back of the environments before; this one's is added. A gate is upstream of them all, so that
        it decides about all: one that it does not know would run when the gate's other ways are skipped.
    """
    where, queue = target(spec, name), _queue(spec, name)
    # Outside of the group: a group that later tasks lead back into is drawn after them.
    roll_back = RollBackUpdateOperator(
        task_id=f"roll_back_{name}",
        target=where,
        deployment=xcom(f"{name}.deploy", "deployment"),
        image=field("artifact", "image"),
        release=RELEASE,
        trigger_rule=TriggerRule.ALL_DONE,
        **queue,
    )
    undo.append(roll_back)
    with TaskGroup(group_id=name, prefix_group_id=True, ui_color=COLOURS["staging"]):
        lease = TakeLeaseOperator(
            task_id="take_lease",
            target=where,
            release=RELEASE,
            ttl=STAGING_LEASE_SECONDS,
            when_busy=spec.app.when_busy,
            **queue,
        )
        deploy = RollingUpdateOperator(
            task_id="deploy",
            target=where,
            artifact=ARTIFACT,
            lease=xcom(f"{name}.take_lease"),
            release=RELEASE,
            **queue,
        )
        smoke = SmokeTestOperator(
            task_id="smoke_test",
            target=where,
            paths=spec.app.smoke_test,
            version=field("artifact", "version"),
            **queue,
        )
        test = IntegrationTestOperator(
            task_id="integration_test",
            target=where,
            artifact=ARTIFACT,
            command=spec.app.integration_test,
            **queue,
        )
        give_back = GiveBackLeaseOperator(
            task_id="give_back_lease", target=where, lease=xcom(f"{name}.take_lease"), release=RELEASE, **queue
        )
        ids = [f"{name}.{task}" for task in ("take_lease", "deploy", "smoke_test", "integration_test")]
        gate = GateOperator(
            task_id="gate",
            watched=ids,
            touches=f"{spec.environments[0].name}.deploy",
            go_on=_next(spec, name),
            roll_back=[it.task_id for it in undo],
            stop_at=name,
            stop=f"{name}.stop_here",
        )
        before >> lease.as_setup() >> deploy >> smoke >> test >> gate >> undo
        # The way back takes the lease itself, under the same name: not before it has been given back.
        test >> give_back.as_teardown(setups=lease) >> roll_back
        gate >> EmptyOperator(task_id="stop_here") >> complete
    return gate, ids


def _next(spec: ReleaseSpec, name: str) -> str:
    names = [environment.name for environment in spec.environments]
    following = names[names.index(name) + 1]
    return "approval" if following == names[-1] else f"{following}.take_lease"


def _approval(spec: ReleaseSpec, names: list[str], undo: list[Any]) -> tuple[Any, Any]:
    app, production = spec.app, spec.environments[-1]
    scans = app.scan.scanners if app.build else []
    evidence = {f"Scan by {scanner}": field(f"scan.{scanner}", "sentence") for scanner in scans}
    if app.build:
        evidence = {"App's tests": passed("build.test"), **evidence} if app.build.test_target else evidence
        evidence["Changes since"] = field("resolve_commit", "changes")
    for name in names[:-1]:
        evidence[f"Smoke test in {name}"] = passed(f"{name}.smoke_test")
        evidence[f"Integration test in {name}"] = (
            f"{{{{ (ti.xcom_pull(task_ids='{name}.integration_test') or '').splitlines() | last or '' }}}}"
        )
    evidence["Release window"] = ""
    canary = app.strategy.canary
    steps = " → ".join(f"{step.weight} % for {step.hold:g} s" for step in canary.steps)
    approval = ReleaseApprovalOperator(
        task_id="approval",
        artifact=ARTIFACT,
        environment=production.name,
        approvers=production.approvers,
        self_approval=app.approval.self_approval,
        wait=app.approval.timeout,
        preflight=xcom("preflight"),
        evidence=evidence,
        plan=f"canary {steps}, then 100 % for {canary.bake:g} s before it is promoted; back at once unless {limits(spec.analysis)}.",
        release=RELEASE,
    )
    gate = GateOperator(
        task_id="approval_gate",
        watched=["approval"],
        touches=f"{names[0]}.deploy" if undo else "approval",
        go_on=f"{production.name}.take_lease",
        roll_back=[it.task_id for it in undo],
    )
    return approval, gate


def _production(spec: ReleaseSpec, name: str, before: Any, complete: Any) -> tuple[list[Any], list[str]]:
    app, canary = spec.app, spec.app.strategy.canary
    where, queue = target(spec, name), _queue(spec, name)
    common: dict[str, Any] = {"target": where, "release": RELEASE, **queue}
    lease_xcom, deployed = xcom(f"{name}.take_lease"), xcom(f"{name}.canary_deploy")
    with TaskGroup(group_id=name, prefix_group_id=True, ui_color=COLOURS["production"]):
        lease = TakeLeaseOperator(task_id="take_lease", when_busy=app.when_busy, approved=ARTIFACT, **common)
        hold = HoldLeaseOperator(task_id="hold_lease", target=where, lease=lease_xcom, **queue)
        first = canary.steps[0]
        deploy = CanaryDeployOperator(
            task_id="canary_deploy",
            artifact=ARTIFACT,
            lease=lease_xcom,
            replicas=capacity(where, where.workload.replicas, first.weight),
            **common,
        )
        watching = {
            **common,
            "artifact": ARTIFACT,
            "lease": lease_xcom,
            "deployment": deployed,
            "on_drift": canary.on_drift,
            "auto_rollback": canary.auto_rollback,
        }
        steps = [
            CanaryStepOperator(
                task_id=f"step_{step.weight}",
                weight=step.weight,
                hold=step.hold,
                analysis=(step.analysis or spec.analysis).model_dump(mode="json"),
                **watching,
            )
            for step in canary.steps
        ]
        bake = BakeOperator(
            task_id="bake", hold=canary.bake, analysis=spec.analysis.model_dump(mode="json"), **watching
        )
        ids = [f"{name}.{task}" for task in ("take_lease", "canary_deploy", *(s.step for s in steps), "bake")]
        gate = GateOperator(
            task_id="gate",
            watched=ids,
            touches=f"{name}.canary_deploy",
            go_on=f"{name}.promote",
            roll_back=["rollback.plan"],
        )
        promote = PromoteOperator(
            task_id="promote",
            artifact=ARTIFACT,
            lease=lease_xcom,
            return_weights=canary.return_weights,
            retire_after=canary.retire_after,
            **common,
        )
        promote_gate = GateOperator(
            task_id="promote_gate",
            watched=[f"{name}.promote"],
            touches=f"{name}.promote",
            go_on="complete",
            roll_back=["rollback.plan"],
        )
    give_back = GiveBackLeaseOperator(
        task_id="give_back_lease", lease=lease_xcom, retire_after=canary.retire_after, **common
    )
    plan, cleanup = _rollback(spec, name, common)
    chain: Any = before >> lease.as_setup() >> deploy
    lease >> hold
    for step in steps:
        chain = chain >> step
    chain >> bake >> gate >> promote >> promote_gate >> complete
    [gate, promote_gate] >> plan
    # `complete` stays out of the lease's scope: a run with nothing to do skips the lease, and all that is in its scope.
    # No gate stands right before the teardown: it would skip it together with the arm that it did not choose.
    cleanup >> give_back.as_teardown(setups=lease)
    return [give_back], [*ids, f"{name}.promote", "rollback.plan", "rollback.switch", "rollback.verify"]


def _rollback(spec: ReleaseSpec, name: str, common: dict[str, Any]) -> tuple[Any, Any]:
    with TaskGroup(group_id="rollback", prefix_group_id=True, ui_color=COLOURS["rollback"]):
        plan = RollbackPlanOperator(
            task_id="plan",
            deployment=xcom(f"{name}.canary_deploy", "deployment"),
            trigger_rule=TriggerRule.ALL_DONE,
            **common,
        )
        made = xcom("rollback.plan")
        switch = RollbackSwitchOperator(task_id="switch", plan=made, **common)
        verify = RollbackVerifyOperator(task_id="verify", paths=spec.app.smoke_test, retries=3, plan=made, **common)
        cleanup = RollbackCleanupOperator(
            task_id="cleanup", retire_after=spec.app.strategy.canary.retire_after, plan=made, **common
        )
        plan >> switch >> verify >> cleanup
    return plan, cleanup


def _queue(spec: ReleaseSpec, name: str) -> dict[str, Any]:
    queue = next(environment.queue for environment in spec.environments if environment.name == name)
    return {"queue": queue} if queue else {}


def _form(spec: ReleaseSpec, names: list[str]) -> dict[str, Param]:
    examples = {"semver": "1.4.0", "date": "2026.11.23", "commit": "4f1c2aa"}
    return {
        "version": Param(
            "",
            type="string",
            title="Version",
            description=f"What to release, like {examples[spec.app.version_scheme]}.",
        ),
        "notes": Param("", type="string", title="Notes", description="Shown to the approver and kept in the history."),
        "stop_at": Param(
            names[-1], type="string", enum=names, title="Stop at", description="The last environment that is changed."
        ),
        "urgent_reason": Param(
            "",
            type="string",
            title="Reason for an urgent release",
            description="Lets a release begin although stable is not healthy. Kept in the history.",
            section="Urgent",
        ),
        "requested_by": Param(
            "",
            type="string",
            title="Requested by",
            description="Only for runs that no signed-in user triggers: who asks for the release.",
            section="Urgent",
        ),
    }


def _guide(spec: ReleaseSpec, names: list[str]) -> str:
    return (
        f"# {spec.app.name}\n\n{spec.app.description}\n\n"
        f"Trigger with a version. It goes through {' → '.join(names)}; production waits for an approval, then traffic moves "
        f"{' → '.join(str(step.weight) for step in spec.app.strategy.canary.steps)} → 100 %, judged all the way. "
        "A failing verdict returns the traffic at once; the rollback group does the rest.\n"
    )
