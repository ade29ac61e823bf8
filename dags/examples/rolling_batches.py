"""Rolling in two batches with single operators: half of the replicas are judged before the others follow.

The connections are those of the sandbox.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param

from release_pipelines import Analysis, RouterSettings, Stage, Target, Workload
from release_pipelines.operators import (
    GiveBackLeaseOperator,
    PromoteOperator,
    ResolveDigestOperator,
    RollingDeployOperator,
    StageOperator,
    TakeLeaseOperator,
)

shop = Target(
    app="shop",
    environment="batches",
    platform="container_host",
    platform_connection="sandbox_engine",
    registry_connection="sandbox_registry",
    prometheus_connection="sandbox_prometheus",
    workload=Workload(name="shop", port=8080, replicas=4),
    router=RouterSettings(kind="traefik", route="shop"),
    url="http://127.0.0.1:8000",
    host="shop.localhost",
)
analysis = Analysis.model_validate(
    {"interval": "2s", "metrics": [{"name": "errors", "source": "errors", "limit": "1%"}]}
)


def batch(name: str, share: int) -> Stage:
    """So many percent of the replicas are the new version's, and are judged for 20 seconds."""
    return Stage.model_validate(
        {
            "name": name,
            "track": "stable",
            "traffic": None,
            "share": share,
            "hold": {"min": 20, "max": 20},
            "analysis": analysis,
            "last": share == 100,
        }
    )


with DAG(
    dag_id="rolling_batches",
    description="Rolling in batches, written with single operators",
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
    deploy = RollingDeployOperator(task_id="deploy", **release)
    half = StageOperator(task_id="batch_50", deployment=deploy.output, stage=batch("batch_50", 50), **release)
    bake = StageOperator(task_id="bake", deployment=deploy.output, stage=batch("bake", 100), **release)
    promote = PromoteOperator(task_id="promote", deployment=deploy.output, **release)
    give_back = GiveBackLeaseOperator(
        task_id="give_back", target=shop, lease=lease.output, deployment=deploy.output, retire_after=5.0
    )
    artifact >> lease.as_setup() >> deploy >> half >> bake >> promote >> give_back.as_teardown(setups=lease)
