"""From the verdict that a version is bad to the end of each rollback task, in the releases that the sandbox has made."""

from __future__ import annotations

import json
import urllib.parse
from datetime import datetime
from typing import Any

from benchmarks.table import Skip, table
from sandbox.airflow import Client, run_path
from sandbox.settings import DAG_ID, SandboxError

LATEST = 5
TASKS = ("rollback.plan", "rollback.prepare", "rollback.switch", "rollback.verify", "rollback.clean_up", "outcome")


def when(text: str) -> float:
    """An ISO time in Unix seconds."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def failing_verdict(admin: Client, path: str, tasks: dict[str, Any]) -> dict[str, Any] | None:
    """What the stage that failed decided; None where nothing was judged."""
    for name in (name for name, task in tasks.items() if task["state"] == "failed"):
        try:
            entry = admin.call(
                "GET", f"{path}/taskInstances/{urllib.parse.quote(name)}/xcomEntries/verdict?deserialize=true"
            )
        except SandboxError:
            continue  # a task that judges nothing
        value = entry["value"]
        verdict: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
        if verdict["judgement"] == "fail":
            return verdict
    return None


def row(admin: Client, run: dict[str, Any]) -> list[str] | None:
    """Seconds from the verdict to each end; None for a run that was not rolled back."""
    path = run_path(DAG_ID, run["dag_run_id"])
    found = admin.call("GET", f"{path}/taskInstances?limit=200")["task_instances"]
    tasks = {it["task_id"]: it for it in found}
    verdict = failing_verdict(admin, path, tasks)
    if verdict is None or tasks.get("rollback.clean_up", {}).get("state") != "success":
        return None
    decided = verdict["decided_at"]
    accepted = [verdict["accepted_at"] - decided] if verdict["accepted_at"] else []
    ends = [when(tasks[name]["end_date"]) - decided for name in TASKS if tasks.get(name, {}).get("end_date")]
    strategy = (
        "canary"
        if "production.canary_deploy" in tasks
        else "blue-green"
        if "production.preview_deploy" in tasks
        else "rolling"
    )
    return [f"{strategy}, at {verdict['step']}", *(f"{it:.2f}" for it in [*accepted, *ends])]


def main() -> None:
    """Print the table."""
    admin = Client("admin")
    try:
        runs = admin.call("GET", f"/dags/{DAG_ID}/dagRuns?order_by=-start_date&limit=50&state=failed")["dag_runs"]
        rows = [it for run in runs if (it := row(admin, run))][:LATEST]
    except SandboxError as error:
        raise Skip(f"{error} (`make up` starts the sandbox)") from None
    if not rows:
        raise Skip("no release of the sandbox was rolled back by a verdict: `make demo` makes one")
    table(
        "Releases that were rolled back: seconds from the verdict until the traffic was accepted elsewhere, and to the end of each task",
        ["", "traffic", *(name.removeprefix("rollback.") for name in TASKS)],
        rows,
    )
    print("  clean_up waits for `retire_after` (5 s in the demo) before it removes what lost its traffic")
