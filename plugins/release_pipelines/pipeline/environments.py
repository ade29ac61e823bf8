"""The environments before production, and the question whether a release may go on to it."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import TaskGroup, TriggerRule

from release_pipelines.core.templates import field, passed, xcom
from release_pipelines.features.approval.form import plan_in_words
from release_pipelines.features.approval.operators import ReleaseApprovalOperator
from release_pipelines.features.checks.operators import IntegrationTestOperator, SmokeTestOperator
from release_pipelines.features.deployment.operators import RollBackUpdateOperator, RollingUpdateOperator
from release_pipelines.features.lease.operators import GiveBackLeaseOperator, TakeLeaseOperator
from release_pipelines.pipeline.common import ARTIFACT, COLOURS, RELEASE, queue_of
from release_pipelines.pipeline.gates import GateOperator
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.target import target

STAGING_LEASE_SECONDS = 900.0


def rolling_environment(
    spec: ReleaseSpec, name: str, before: Any, complete: Any, undo: list[Any]
) -> tuple[Any, list[str]]:
    """Every environment but the last: a rolling update, checked; undone when a later decision says no.

    :param undo: the ways back of the environments before; this one's is added. A gate is upstream of them all, so that
        it decides about all: one that it does not know would run when the gate's other ways are skipped.
    """
    where, queue = target(spec, name), queue_of(spec, name)
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


def approval(spec: ReleaseSpec, names: list[str], undo: list[Any]) -> tuple[Any, Any]:
    """A person lets the release into production: the question, and its gate."""
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
    question = ReleaseApprovalOperator(
        task_id="approval",
        target=target(spec, production.name),
        artifact=ARTIFACT,
        approvers=production.approvers,
        self_approval=app.approval.self_approval,
        wait=app.approval.timeout,
        preflight=xcom("preflight"),
        evidence=evidence,
        plan=plan_in_words(spec),
        release=RELEASE,
    )
    gate = GateOperator(
        task_id="approval_gate",
        watched=["approval"],
        touches=f"{names[0]}.deploy" if undo else "approval",
        go_on=f"{production.name}.take_lease",
        roll_back=[it.task_id for it in undo],
    )
    return question, gate
