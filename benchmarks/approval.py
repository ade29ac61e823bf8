"""From a person's approval to the canary's first requests, in the sandbox: the proxy's own weight, and what lies between."""

from __future__ import annotations

import statistics
import time
import urllib.parse
from typing import Any

from benchmarks.overhead import when
from benchmarks.table import Skip, load, table
from sandbox.airflow import Client, run_path
from sandbox.demo import read_history, said
from sandbox.run import WAIT_BEFORE_APPROVAL, Weights, questions
from sandbox.services import Entry
from sandbox.settings import APP, DAG_ID, SandboxError

RUNS = 5
VERSIONS = ("1.0.0", "1.1.0")
BETWEEN = ("approval", "approval_gate", "production.take_lease", "production.canary_deploy", "production.step_10")
PATIENCE = 300.0


def main() -> None:
    """Print the table."""
    try:
        version = _candidate()
        runs = [_run(version, n) for n in range(RUNS)]
    except SandboxError as error:
        raise Skip(f"{error} `make up` and two releases come first.") from None
    names = list(runs[0])
    rows = [
        [name, f"{statistics.median(it[name] for it in runs):.1f} s", f"{max(it[name] for it in runs):.1f} s", target]
        for name, target in zip(names, ["< 5 s", *[""] * len(BETWEEN)], strict=True)
    ]
    table(
        f"After a person's approval, {RUNS} canaries that are aborted at once", ["", "median", "most", "target"], rows
    )
    load()


def _candidate() -> str:
    """The good version that does not serve."""
    held = [it["version"] for it in read_history() if it["outcome"] == "released"]
    if not held:
        raise SandboxError("No release has held yet.")
    return next(it for it in VERSIONS if it != held[0])


def _run(version: str, number: int) -> dict[str, float]:
    """Seconds from the approval until the first weight, and until the end of each task between."""
    alice, bob = Client("alice"), Client("bob")
    asked = {"logical_date": None, "conf": {"version": version}, "dag_run_id": f"measured_{time.time():.0f}_{number}"}
    path = run_path(DAG_ID, alice.call("POST", f"/dags/{DAG_ID}/dagRuns", asked)["dag_run_id"])
    weights = Weights(Entry())
    weights.start()
    try:
        _wait(lambda: questions(alice, path), "no form has opened")
        time.sleep(WAIT_BEFORE_APPROVAL)
        form = f"{path}/taskInstances/{urllib.parse.quote('approval')}/-1/hitlDetails"
        approved = time.time()
        bob.call("PATCH", form, {"chosen_options": ["Approve"], "params_input": {}})
        _wait(lambda: _first(weights, approved), "the canary got no requests")
    finally:
        weights.stop()
    tasks = {it["task_id"]: it for it in alice.call("GET", f"{path}/taskInstances?limit=100")["task_instances"]}
    said("abort", APP, "--by", "bob", "--reason", "it was only measured")
    _wait(lambda: alice.call("GET", path)["state"] in ("success", "failed"), "the release has not ended")
    found = {"the first weight at the proxy": _first(weights, approved) - approved}
    for name in BETWEEN[:-1]:
        found[f"{name} has ended"] = when(tasks[name]["end_date"]) - approved
    found[f"{BETWEEN[-1]} has begun"] = when(tasks[BETWEEN[-1]]["start_date"]) - approved
    return found


def _first(weights: Weights, since: float) -> float:
    return next((at for at, weight in weights.changes if weight and at >= since), 0.0)


def _wait(true: Any, why: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise SandboxError(f"After {PATIENCE:.0f} s {why}.")
        time.sleep(0.2)
