"""What any tools found, judged together: reports in SARIF, one flaw once, exceptions with an end, and what blocks in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param, task

from release_pipelines.operators import FindingsGateOperator

with DAG(
    dag_id="findings",
    description="Reports of scanners, judged together",
    schedule=None,
    tags=["example"],
    params={"reports": Param("/tmp/reports", type="string", description="Folder with reports in SARIF, on the worker")},  # noqa: S108
) as dag:

    @task
    def read_reports(folder: str) -> dict[str, Any]:
        """Names of tools to what they wrote."""
        return {path.stem: json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.sarif"))}

    reports = read_reports("{{ params.reports }}")
    FindingsGateOperator(
        task_id="judge",
        results=reports,
        scanners=["semgrep"],  # has to be there
        rules={
            "block_on": "high",
            "exceptions": [
                {
                    "id": "B602",
                    "component": "scripts/backup.py",
                    "reason": "runs on a build machine, on names that it makes itself",
                    "until": "2027-03-31",
                    "who": "ada",
                }
            ],
        },
    )
