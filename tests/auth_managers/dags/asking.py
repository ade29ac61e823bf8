"""A release that consists of its approval."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from release_pipelines.airflow.forms import optional
from release_pipelines.airflow.people import asked_by
from release_pipelines.core.templates import xcom
from release_pipelines.features.approval.operators import ReleaseApprovalOperator

TARGET = {
    "app": "shop",
    "environment": "production",
    "platform": "container_host",
    "platform_connection": "host",
    "registry_connection": "registry",
    "prometheus_connection": "prometheus",
    "workload": {},
    "router": {"kind": "traefik"},
    "url": "http://127.0.0.1:1",
}
ARTIFACT = {"app": "shop", "version": "1.1.0", "image": "registry/shop", "digest": f"sha256:{'0' * 64}"}
WAYS: dict[str, list[Any]] = {
    "by_name": ["bob", "carol"],
    "by_email": [{"name": "bob", "email": "bob@example.org"}, "carol"],
    "by_id": [{"name": "bob", "id": "BOB"}, {"name": "alice", "id": "ALICE"}],
}


def approvers(way: str) -> list[Any]:
    """The approvers, with the ids that the auth manager has given them."""
    import json
    import os

    ids = json.loads(os.environ.get("IDS_OF_USERS") or "{}")
    return [{**it, "id": ids.get(it["name"], "0")} if isinstance(it, dict) and "id" in it else it for it in WAYS[way]]


for way in WAYS:
    with DAG(f"release_{way}", schedule=None, params={"requested_by": optional("Requested by", "")}) as dag:

        @task
        def preflight(**context: Any) -> dict[str, Any]:
            """Who asks."""
            return asked_by(context["dag_run"], context["params"]["requested_by"])._asdict()

        asking = ReleaseApprovalOperator(
            task_id="approval",
            target=TARGET,
            artifact=ARTIFACT,
            approvers=approvers(way),
            preflight=xcom("preflight"),
            release="{{ dag.dag_id }}/{{ run_id }}",
            evidence={},
            plan="at once",
            wait=900.0,
            retries=3,
            retry_delay=1.0,
        )
        preflight() >> asking
    globals()[dag.dag_id] = dag
