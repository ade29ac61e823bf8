"""From a commit to a rolling update, with single operators: build, test, scan, approval, checks, and back if one fails.

The connections are those of the sandbox.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, TriggerRule

from release_pipelines import RouterSettings, Target, Workload
from release_pipelines.operators import (
    GiveBackLeaseOperator,
    ImageBuildOperator,
    ImagePushOperator,
    ImageTestOperator,
    IntegrationTestOperator,
    MetricGateOperator,
    ReleaseApprovalOperator,
    ResolveCommitOperator,
    RollBackUpdateOperator,
    RollingUpdateOperator,
    ScanOperator,
    SmokeTestOperator,
    TakeLeaseOperator,
)
from release_pipelines.sensors import RolloutSensor

shop = Target(
    app="shop",
    environment="nightly",
    platform="container_host",
    platform_connection="sandbox_engine",
    registry_connection="sandbox_registry",
    prometheus_connection="sandbox_prometheus",
    workload=Workload(name="shop", port=8080, replicas=2),
    router=RouterSettings(kind="traefik", route="shop"),
    url="http://127.0.0.1:8000",
    host="shop.localhost",
)
commit = "{{ ti.xcom_pull('resolve_commit')['commit'] }}"
source: dict[str, Any] = {"repository": "{{ params.repository }}", "commit": commit}
image: dict[str, Any] = {"image": "storefront", "version": "{{ params.version }}"}
engine: dict[str, Any] = {"engine_conn_id": "sandbox_engine", "registry_conn_id": "sandbox_registry"}

with DAG(
    dag_id="from_commit",
    description="A commit as a rolling update, written with single operators",
    schedule=None,
    tags=["example"],
    default_args={"retries": 1, "retry_delay": 1.0},
    params={
        "repository": Param("https://git.example.org/shop.git", type="string", description="URL or folder"),
        "version": Param("1.0.0", type="string", description="Tag of the commit, and of the image"),
    },
) as dag:
    resolve = ResolveCommitOperator(
        task_id="resolve_commit", repository="{{ params.repository }}", version="{{ params.version }}"
    )
    test_source = ImageTestOperator(task_id="test_source", target="test", **source, **image, **engine)
    scan = ScanOperator(task_id="scan", scanner="hadolint", **source)
    build = ImageBuildOperator(task_id="build", **source, **image, **engine)
    artifact = ImagePushOperator(task_id="push", app="shop", commit=commit, **image, **engine)
    approval = ReleaseApprovalOperator(
        task_id="approval",
        target=shop,
        artifact=artifact.output,
        approvers=["bob", "carol"],
        preflight={},
        evidence={"Tests": "passed", "Scan": "{{ ti.xcom_pull('scan')['sentence'] }}"},
        plan="a rolling update",
    )
    settled = RolloutSensor(task_id="nobody_deploys", target=shop, track="stable", timeout=600)
    lease = TakeLeaseOperator(task_id="take_lease", target=shop, ttl=3600, approved=artifact.output)
    deploy = RollingUpdateOperator(task_id="deploy", target=shop, artifact=artifact.output, lease=lease.output)
    smoke = SmokeTestOperator(task_id="smoke_test", target=shop, version="{{ params.version }}")
    integration = IntegrationTestOperator(
        task_id="integration_test", target=shop, artifact=artifact.output, command=["python3", "check.py"]
    )
    queue = MetricGateOperator(
        task_id="queue_is_short", query="sum(queue_length)", limit=100, prometheus_conn_id="sandbox_prometheus"
    )
    roll_back = RollBackUpdateOperator(
        task_id="roll_back",
        target=shop,
        deployment="{{ ti.xcom_pull('deploy', key='deployment') | tojson }}",
        image="storefront",
        trigger_rule=TriggerRule.ONE_FAILED,
    )
    give_back = GiveBackLeaseOperator(
        task_id="give_back",
        target=shop,
        lease=lease.output,
        deployment="{{ ti.xcom_pull('deploy', key='deployment') | tojson }}",
    )

    resolve >> [test_source, scan] >> build >> artifact >> approval >> settled >> lease.as_setup() >> deploy
    deploy >> smoke >> integration >> queue >> roll_back
    [deploy, smoke, integration] >> roll_back
    roll_back >> give_back.as_teardown(setups=lease)
