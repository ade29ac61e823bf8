"""Airflow's own time on the critical path of the sandbox's last good release: what lies between the tasks."""

from __future__ import annotations

import statistics
from datetime import datetime
from typing import Any

from benchmarks.table import Skip, table
from sandbox.airflow import Client, run_path
from sandbox.settings import DAG_ID, SandboxError


def when(text: str) -> float:
    """Unix time of the API's timestamp."""
    return datetime.fromisoformat(text).timestamp()


def critical_path(tasks: dict[str, dict[str, Any]], upstream: dict[str, set[str]]) -> list[str]:
    """From the outcome back along the task that each had to wait for; `hold_lease`, beside it all, ends even later."""
    here: str | None = "outcome"
    path: list[str] = []
    while here:
        path.insert(0, here)
        began = when(tasks[here]["start_date"])
        before = [it for it in upstream[here] if it in tasks and when(tasks[it]["end_date"]) <= began + 0.05]
        here = max(before, key=lambda task: when(tasks[task]["end_date"]), default=None)
    return path


def main() -> None:
    """Print the table."""
    admin = Client("admin")
    try:
        runs = admin.call("GET", f"/dags/{DAG_ID}/dagRuns?order_by=-start_date&limit=20&state=success")
        if not runs["dag_runs"]:
            raise Skip("no release of the sandbox has succeeded: `make demo` makes three")
        run = runs["dag_runs"][0]
        path = run_path(DAG_ID, run["dag_run_id"])
        found = admin.call("GET", f"{path}/taskInstances?limit=100")["task_instances"]
        graph = admin.call("GET", f"/dags/{DAG_ID}/tasks")["tasks"]
    except SandboxError as error:
        raise Skip(f"{error} (`make up` starts the sandbox)") from None
    # A task that the scheduler itself sets (skipped, a marker) has no process and no length.
    tasks = {it["task_id"]: it for it in found if it["start_date"] and it["end_date"] and it["pid"]}
    upstream: dict[str, set[str]] = {it["task_id"]: set() for it in graph}
    for it in graph:
        for below in it["downstream_task_ids"]:
            upstream[below].add(it["task_id"])
    marks = upstream.keys() - tasks.keys()
    for _ in marks:  # what a marker waited for, its followers waited for
        for below, above in upstream.items():
            upstream[below] = above | {over for it in above & marks for over in upstream[it]}
    chain = critical_path(tasks, upstream)
    gaps = []
    rows = []
    previous = when(run["start_date"])
    for task in chain:
        began, ended = when(tasks[task]["start_date"]), when(tasks[task]["end_date"])
        gaps.append(max(0.0, began - previous))
        rows.append([task, f"{gaps[-1]:.2f}", f"{ended - began:.2f}"])
        previous = ended
    table(
        f"Critical path of {run['dag_run_id']} ({run['state']}), seconds; between = from the end of the task before to this start",
        ["task", "between", "own"],
        rows,
    )
    print(
        f"  {len(chain)} tasks (target <= 30); between: {statistics.mean(gaps):.2f} s on average, "
        f"{statistics.median(gaps):.2f} s median, {max(gaps):.2f} s at most (target <= 0.5 s per task)"
    )
