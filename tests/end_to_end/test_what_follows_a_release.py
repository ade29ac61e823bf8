"""DAGs that are scheduled on releases (the asset of an app in its last environment)."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from sandbox import demo
from sandbox.airflow import Client
from tests.end_to_end.conftest import APP, QUICK, Run, Sandbox

CONSUMER = "after_release"
ASSET = f"release://production/{APP}"


def events(admin: Client) -> list[dict[str, Any]]:
    """All events of the app's asset."""
    found: list[dict[str, Any]] = admin.call("GET", "/assets/events?limit=1000")["asset_events"]
    return [it for it in found if it["uri"] == ASSET]


def ended() -> dict[str, str]:
    """What releases came to, by their ids; without those of trains, whose events come from the train, for what it keeps."""
    return {it["id"]: it["outcome"] for it in demo.read_history() if "/train_" not in it["id"]}


def noted(admin: Client) -> list[str]:
    """What the DAG has taken note of in all its runs."""
    runs = admin.call("GET", f"/dags/{CONSUMER}/dagRuns?limit=1000")["dag_runs"]
    done = [it["dag_run_id"] for it in runs if it["state"] == "success"]
    path = f"/dags/{CONSUMER}/dagRuns/{{}}/taskInstances/take_note/xcomEntries/return_value"
    return [line for run in done for line in admin.call("GET", path.format(run))["value"]]


def test_each_release_that_held_is_one_event_and_a_dag_sees_each_once(sandbox: Sandbox, serving: Run) -> None:
    sandbox.strategy("canary", QUICK)
    admin = Client("admin")
    outcomes = ended()
    if "rolled_back" not in outcomes.values():
        sandbox.release("1.2.0")
        outcomes = ended()
    held = [name for name, outcome in outcomes.items() if outcome == "released"]
    ours = [it for it in events(admin) if it["extra"].get("release") in outcomes]
    assert Counter(it["extra"]["release"] for it in ours) == Counter(held), outcomes
    assert all(it["extra"]["digest"].startswith("sha256:") for it in ours)

    # Three within a second, as of three releases that held at once.
    asset = admin.call("GET", f"/assets?uri_pattern={ASSET}")["assets"][0]["id"]
    quick = [f"quick-{time.time():.0f}-{number}" for number in range(3)]
    for version in quick:
        extra = {"version": version, "digest": "sha256:0", "outcome": "released"}
        admin.call("POST", "/assets/events", {"asset_id": asset, "extra": extra})
    wanted = Counter(f"{it['extra']['version']} ({it['extra']['digest']})" for it in events(admin))
    end = time.monotonic() + 180
    while Counter(noted(admin)) != wanted:
        assert time.monotonic() < end, (noted(admin), wanted)
        time.sleep(1)
