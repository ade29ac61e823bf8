"""Looks every five minutes what an app runs that has no app file, so that `release status` and the pages tell it, too.

The connections are those of the sandbox.
"""

from __future__ import annotations

from airflow.sdk import DAG

from release_pipelines import Analysis, RouterSettings, Target, Workload
from release_pipelines.operators import ObserveOperator

legacy = Target(
    app="legacy",
    environment="production",
    platform="container_host",
    platform_connection="sandbox_engine",
    registry_connection="sandbox_registry",
    prometheus_connection="sandbox_prometheus",
    workload=Workload(name="legacy", port=8080, replicas=2),
    router=RouterSettings(kind="traefik", route="legacy"),
    url="http://127.0.0.1:8000",
    host="legacy.localhost",
)
limits = Analysis.model_validate({"metrics": [{"name": "errors", "source": "errors", "limit": "1%"}]})

with DAG(
    dag_id="what_runs",
    description="What an app without a file runs",
    schedule="*/5 * * * *",
    catchup=False,
    max_active_runs=1,
    tags=["example"],
) as dag:
    ObserveOperator(task_id="observe", target=legacy, analysis=limits, every=300)
