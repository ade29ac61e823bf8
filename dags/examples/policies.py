"""What a release must have, asked in a DAG of your own: evidence from any task, policies from `include/policies`."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from release_pipelines.operators import PolicyOperator

with DAG(
    dag_id="policies",
    description="A document of evidence is judged by policies",
    schedule=None,
    tags=["example"],
    params={"digest": Param("sha256:" + "0" * 64, type="string", description="The image that is judged")},
) as dag:

    @task
    def collect(**context: Any) -> dict[str, Any]:
        """What is known of the release, as include/schemas/evidence.schema.json says it."""
        counts = {"unknown": 0, "low": 2, "medium": 0, "high": 0, "critical": 0}
        scan = {"status": "findings", "counts": counts, "data_age": 3600.0, "subjects": [], "sentence": "2 low."}
        return {
            "at": 1_790_000_000.0,
            "app": "shop",
            "version": "1.4.0",
            "environment": "production",
            "image": "registry.example/shop",
            "digest": context["params"]["digest"],
            "strategy": "canary",
            "tags": [],
            "calendars": [],
            "requester": "alice",
            "urgent": None,
            "serving": None,
            "scans": {"trivy": scan},
            "findings": [],
        }

    PolicyOperator(task_id="policy", policies=["scans"], evidence=collect())
