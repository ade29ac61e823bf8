"""Stages of a team's own without an app file: a load test in a container, and what follows from its numbers.

What a stage hands on, the next ones name by placeholders: `earlier` says which stage is meant by which name. The connections are those of the sandbox.
"""

from __future__ import annotations

from airflow.sdk import DAG

from release_pipelines import RouterSettings, Target, Workload
from release_pipelines.operators import (
    ContainerStageOperator,
    DagStageOperator,
    HttpStageOperator,
    ImportedStageOperator,
)

storefront = Target(
    app="storefront",
    environment="staging",
    platform="container_host",
    platform_connection="sandbox_engine",
    registry_connection="sandbox_registry",
    prometheus_connection="sandbox_prometheus",
    workload=Workload(name="storefront", port=8080),
    router=RouterSettings(kind="traefik", route="storefront"),
    url="http://127.0.0.1:8000",
    host="storefront.staging.localhost",
)

with DAG(
    dag_id="nightly_load_test",
    description="Waits until staging is healthy, loads it, and compares the numbers",
    schedule=None,
    catchup=False,
    tags=["example"],
) as dag:
    healthy = HttpStageOperator(
        task_id="healthy", target=storefront, options={"path": "/health", "interval": 2}, timeout=120
    )
    load = ContainerStageOperator(
        task_id="load",
        target=storefront,
        # The last line that it prints is JSON, like {"p95": 120}: that is handed on.
        options={"image": "load-test:1", "command": ["python3", "load.py", "{url}", "--host", "{host}"]},
        timeout=600,
        tries_again=1,
    )
    note = ImportedStageOperator(
        task_id="note",
        earlier={"load": load.output},
        options={
            "path": "airflow.providers.standard.operators.bash.BashOperator",
            "arguments": {"bash_command": 'echo "$P95"', "env": {"P95": "{stages.load.p95} ms"}},
        },
        timeout=60,
    )
    compare = DagStageOperator(
        task_id="compare",
        earlier={"load": load.output},
        options={"dag_id": "compare_load_tests", "conf": {"p95": "{stages.load.p95}"}},
    )
    healthy >> load >> note >> compare
