"""What a running app is like from outside, by single operators: load, security, accessibility. Changes nothing.

The connections are those of the sandbox.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from release_pipelines import RouterSettings, Target, Workload
from release_pipelines.operators import (
    AccessibilityStageOperator,
    PerformanceStageOperator,
    WebSecurityStageOperator,
    ZapStageOperator,
)

shop = Target(
    app="shop",
    environment="staging",
    platform="container_host",
    platform_connection="sandbox_engine",
    registry_connection="sandbox_registry",
    prometheus_connection="sandbox_prometheus",
    workload=Workload(name="shop", port=8080, replicas=2),
    router=RouterSettings(kind="traefik", route="shop"),
    url="http://127.0.0.1:8000",
    host="shop.localhost",
)
given: dict[str, Any] = {"target": shop, "version": "1.4.0"}

with DAG(dag_id="ready_made", description="A running app from outside", schedule=None, tags=["example"]) as dag:
    load = PerformanceStageOperator(
        task_id="load", options={"paths": ["/", "/cart"], "rate": 20, "duration": "10s"}, **given
    )
    web = WebSecurityStageOperator(task_id="web", options={"block_on": "high"}, **given)
    zap = ZapStageOperator(task_id="zap", options={"image": "zaproxy:2.16"}, timeout=1200, **given)
    readable = AccessibilityStageOperator(task_id="readable", options={"paths": ["/"]}, **given)
    load >> web >> zap >> readable
