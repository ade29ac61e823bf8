"""Blue-green with single operators: a preview that is tested, a person who lets the traffic over, and the way back.

The connections are those of the sandbox.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, TaskGroup, TriggerRule

from release_pipelines import Analysis, RouterSettings, Stage, Target, Workload, share_with
from release_pipelines.operators import (
    CheckOperator,
    GiveBackLeaseOperator,
    PreviewDeployOperator,
    PreviewTestOperator,
    PromoteOperator,
    ResolveDigestOperator,
    RollbackCleanupOperator,
    RollbackPlanOperator,
    RollbackPrepareOperator,
    RollbackSwitchOperator,
    RollbackVerifyOperator,
    StageOperator,
    StepApprovalOperator,
    TakeLeaseOperator,
)

shop = Target(
    app="shop",
    environment="previews",
    platform="container_host",
    platform_connection="sandbox_engine",
    registry_connection="sandbox_registry",
    prometheus_connection="sandbox_prometheus",
    workload=Workload(name="shop", port=8080, replicas=2),
    router=RouterSettings(kind="traefik", route="shop"),
    url="http://127.0.0.1:8000",
    host="shop.localhost",
    preview=True,
    preview_host="preview.shop.localhost",
)
analysis = Analysis.model_validate(
    {"interval": "2s", "metrics": [{"name": "errors", "source": "errors", "limit": "1%"}]}
)

with DAG(
    dag_id="blue_green_by_hand",
    description="Blue-green, written with single operators",
    schedule=None,
    tags=["example"],
    default_args={"retries": 1, "retry_delay": 1.0},
    params={"version": Param("1.0.0", type="string", description="Tag of the image")},
) as dag:
    artifact = ResolveDigestOperator(
        task_id="resolve_digest",
        app="shop",
        image="storefront",
        version="{{ params.version }}",
        registry_conn_id="sandbox_registry",
    )
    lease = TakeLeaseOperator(task_id="take_lease", target=shop, ttl=3600)
    release: dict[str, Any] = {"target": shop, "artifact": artifact.output, "lease": lease.output}
    deploy = PreviewDeployOperator(task_id="deploy", **release)
    watch: dict[str, Any] = {**release, "deployment": deploy.output}
    test = PreviewTestOperator(task_id="test", target=shop, deployment=deploy.output, paths=["/"])
    verify = CheckOperator(task_id="verify", verify={"command": ["python3", "check.py"]}, **watch)
    approval = StepApprovalOperator(task_id="approval", approvers=["bob", "carol"], preflight={}, **watch)
    stage = Stage.model_validate(
        {
            "name": "bake",
            "track": "preview",
            "traffic": share_with("preview", 100),
            "hold": {"min": 20, "max": 20},
            "analysis": analysis,
            "last": True,
        }
    )
    bake = StageOperator(task_id="bake", stage=stage, **watch)
    promote = PromoteOperator(
        task_id="promote", deployment=deploy.output, return_weights=[], retire_after=5.0, **release
    )
    with TaskGroup(group_id="rollback"):
        plan = RollbackPlanOperator(
            task_id="plan",
            target=shop,
            deployment="{{ ti.xcom_pull('deploy', key='deployment') | tojson }}",
            paths=["/"],
            trigger_rule=TriggerRule.ONE_FAILED,
        )
        prepare = RollbackPrepareOperator(task_id="prepare", plan=plan.output)
        switch = RollbackSwitchOperator(task_id="switch", plan=plan.output)
        check = RollbackVerifyOperator(task_id="verify", plan=plan.output, retries=3)
        clean_up = RollbackCleanupOperator(task_id="clean_up", plan=plan.output)
        plan >> prepare >> switch >> check >> clean_up
    give_back = GiveBackLeaseOperator(task_id="give_back", target=shop, lease=lease.output, retire_after=5.0)

    artifact >> lease.as_setup() >> deploy >> test >> verify >> approval >> bake >> promote
    [deploy, test, verify, approval, bake, promote] >> plan
    [promote, clean_up] >> give_back.as_teardown(setups=lease)
