"""A model server through a canary, with single operators and no app file.

Its image is built elsewhere; the release takes the digest behind a tag. The connections are those of the sandbox, where the
sample app stands in for a model server. Judging needs requests: send some to http://127.0.0.1:8000/ with the header
``Host: model-server.localhost`` while it runs.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param

from release_pipelines import Analysis, RouterSettings, Target, Workload
from release_pipelines.operators import (
    BakeOperator,
    CanaryDeployOperator,
    CanaryStepOperator,
    GiveBackLeaseOperator,
    HoldLeaseOperator,
    PromoteOperator,
    ResolveDigestOperator,
    TakeLeaseOperator,
)

server = Target(
    app="model-server",
    environment="models",
    platform="container_host",
    platform_connection="sandbox_engine",
    registry_connection="sandbox_registry",
    prometheus_connection="sandbox_prometheus",
    workload=Workload(name="model-server", port=8080, replicas=2, cpu=0.5, memory="128Mi"),
    router=RouterSettings(kind="traefik", route="model-server"),
    url="http://127.0.0.1:8000",
    host="model-server.localhost",
)
analysis = Analysis.model_validate(
    {
        "interval": "2s",
        "metrics": [
            {"name": "errors", "source": "errors", "limit": "1%"},
            {"name": "slow", "source": "slow_requests", "slower_than": "500ms", "limit": "5%"},
        ],
    }
)

with DAG(
    dag_id="model_server_canary",
    description="Canary of a model server, written with single operators",
    schedule=None,
    tags=["example"],
    default_args={"retries": 1, "retry_delay": 1.0},
    params={"version": Param("1.0.0", type="string", description="Tag of the image")},
) as dag:
    artifact = ResolveDigestOperator(
        task_id="resolve_digest",
        app="model-server",
        image="storefront",
        version="{{ params.version }}",
        registry_conn_id="sandbox_registry",
    )
    lease = TakeLeaseOperator(task_id="take_lease", target=server)
    hold_lease = HoldLeaseOperator(task_id="hold_lease", target=server, lease=lease.output)
    release: dict[str, Any] = {"target": server, "artifact": artifact.output, "lease": lease.output}
    deploy = CanaryDeployOperator(task_id="deploy", **release)
    watch: dict[str, Any] = {**release, "deployment": deploy.output, "hold": 20.0, "analysis": analysis}
    step = CanaryStepOperator(task_id="step_20", weight=20, **watch)
    bake = BakeOperator(task_id="bake", **watch)
    promote = PromoteOperator(task_id="promote", deployment=deploy.output, retire_after=5.0, **release)
    give_back = GiveBackLeaseOperator(task_id="give_back", target=server, lease=lease.output, retire_after=5.0)

    # A failing verdict returns the traffic by itself; whatever happens, the teardown gives the lease back.
    artifact >> lease.as_setup() >> deploy >> step >> bake >> promote >> give_back.as_teardown(setups=lease)
