"""Releases, and a DAG of somebody's own, that keep to windows of seconds in real Airflow (R19)."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from sandbox import demo, processes
from sandbox.airflow import Client, read_anew
from sandbox.settings import CALENDARS
from tests.end_to_end import browser
from tests.end_to_end.conftest import QUICK, Run, Sandbox

EXAMPLE, EXAMPLES_CALENDAR = "reindex_in_windows", "business-hours"
KEEPS: dict[str, Any] = {**QUICK, "calendars": ["shop-hours"]}
AHEAD = 30.0
"""Seconds until a window opens: in these Airflow reads the DAG again, on a busy machine, too."""
OPEN_FOR = 600.0
"""Seconds: longer than a test lasts."""
SHORT = {"steps": [{"weight": 10, "hold": "4s"}, {"weight": 50, "hold": "12s"}], "bake": "4s", "retire_after": "1s"}


def write(name: str, *entries: tuple[str, float, float]) -> None:
    """Write a calendar: each entry with when it begins and ends, as Unix time in seconds."""
    lines = [f'- {{{kind}: stocktaking, from: "{wall(begin)}", to: "{wall(end)}"}}' for kind, begin, end in entries]
    unfinished = CALENDARS / f"{name}.new"
    unfinished.write_text("time_zone: UTC\nentries:\n" + "\n".join(lines) + "\n")
    unfinished.replace(CALENDARS / f"{name}.yaml")


def wall(at: float) -> str:
    """What stands in a calendar for a Unix time in seconds."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def window(begin: float, end: float = OPEN_FOR) -> None:
    """The shop's window, in seconds from now."""
    write("shop-hours", ("window", time.time() + begin, time.time() + end))


def runs_of_the_example() -> list[dict[str, Any]]:
    """The runs that a schedule began."""
    found = Client("admin").call("GET", f"/dags/{EXAMPLE}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
    return [it for it in found if it["run_type"] == "scheduled"]


def read_after(moment: float) -> None:
    """Wait until Airflow has read the example after a moment: it works out the next run when it reads the file."""
    admin, end = Client("admin"), time.monotonic() + 60
    while (last := read_anew(admin, EXAMPLE)) is None or datetime.fromisoformat(last).timestamp() < moment:
        assert time.monotonic() < end, "Airflow has not read the example again"
        time.sleep(0.5)


def test_a_scheduled_dag_begins_when_its_window_opens(sandbox: Sandbox, tmp_path: Path) -> None:
    known = len(runs_of_the_example())
    opens = int(time.time()) + AHEAD
    write(EXAMPLES_CALENDAR, ("window", opens, opens + 5))
    read_after(time.time())
    assert Client("admin").call("GET", f"/dags/{EXAMPLE}")["next_dagrun_run_after"] == (
        datetime.fromtimestamp(opens, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    if browser.CHROMIUM:
        with browser.signed_in("alice") as page:
            page.goto(f"{browser.AIRFLOW}/dags/{EXAMPLE}")
            page.get_by_text("Next Run").first.wait_for()
            page.screenshot(path=tmp_path / "next_run.png", full_page=True)
    end = time.monotonic() + 60
    while len(runs_of_the_example()) == known:
        assert time.monotonic() < end, "no run has begun"
        time.sleep(0.3)
    run = runs_of_the_example()[0]
    begun = datetime.fromisoformat(run["start_date"]).timestamp()
    assert begun >= opens
    assert datetime.fromisoformat(run["run_after"]).timestamp() == opens
    print(f"began {begun - opens:.1f} s after its window opened")
    time.sleep(max(0.0, opens + 6 - time.time()))
    assert len(runs_of_the_example()) == known + 1, "one window is one run"


@pytest.mark.parametrize("late", [True, False], ids=["back in its window", "back after its window"])
def test_a_scheduler_that_was_away_when_the_window_opened(sandbox: Sandbox, late: bool) -> None:
    known = len(runs_of_the_example())
    opens = int(time.time()) + AHEAD
    closes = opens + (120 if late else 3)
    write(EXAMPLES_CALENDAR, ("window", opens, closes), ("window", opens + 3000, opens + 3600))
    read_after(time.time())
    scheduler = processes.find("airflow-scheduler")
    assert scheduler is not None
    scheduler.suspend()
    try:
        time.sleep(max(0.0, opens + 5 - time.time()))
    finally:
        scheduler.resume()
    end = time.monotonic() + (120 if late else 12)
    while len(runs_of_the_example()) == known and time.monotonic() < end:
        time.sleep(0.5)
    assert len(runs_of_the_example()) == known + late
    if not late:
        read_after(time.time())
    told = Client("admin").call("GET", f"/dags/{EXAMPLE}")["next_dagrun_run_after"]
    assert datetime.fromisoformat(told).timestamp() == opens + 3000


def wait_for_the_window(sandbox: Sandbox, run: Run, screenshots: Path) -> None:
    """A release that was approved in a closed window waits, says until when, and holds nothing."""
    run.until_task("window")
    run.until(lambda: "Waits for its window until" in (run.note or ""))
    assert sandbox.observe().weight("stable") == 100
    assert sandbox.observe().lease is None
    if browser.CHROMIUM:
        with browser.signed_in("alice") as page:
            page.goto(browser.run_page(run.run_id))
            page.get_by_text("window").first.wait_for()
            page.screenshot(path=screenshots / "waits.png", full_page=True)


@pytest.mark.parametrize("policy", ["finish", "pause", "rollback"])
def test_a_release_whose_window_closes_at_half_of_the_traffic(sandbox: Sandbox, policy: str, tmp_path: Path) -> None:
    waits = policy == "finish"
    window(3000 if waits else -10, 3600)
    on_close = {"policy": "pause", "limit": "2m"} if policy == "pause" else policy
    sandbox.strategy("canary", {**KEEPS, "strategy": {"canary": SHORT}, "on_close": on_close})
    before, version = sandbox.serves(), sandbox.other()
    run = sandbox.begin(version)
    if waits:
        wait_for_the_window(sandbox, run, tmp_path)
    window(-1)
    run.until(lambda: sandbox.observe().weight("canary") == 50)
    window(-30, 2)
    if policy == "pause":
        run.until(lambda: any("window has closed" in it["sentence"] for it in sandbox.history(run)["events"]))
        time.sleep(14)  # longer than the hold, whose clock stands still
        assert sandbox.observe().weight("canary") == 50
        window(-1)
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    if policy == "rollback":
        assert (run.state, entry["outcome"]) == ("failed", "rolled_back"), entry["sentence"]
        assert "its window has closed" in entry["sentence"]
        assert sandbox.serves() == before
    else:
        assert (run.state, entry["outcome"]) == ("success", "released"), entry["sentence"]
        assert ("over its window" in entry["sentence"]) == (policy == "finish"), entry["sentence"]
        assert sandbox.serves() == version


def test_a_freeze_that_is_put_in_counts_for_a_release_that_runs(sandbox: Sandbox) -> None:
    window(-10)
    sandbox.strategy("canary", {**KEEPS, "strategy": {"canary": SHORT}, "on_close": "rollback"})
    before = sandbox.serves()
    run = sandbox.begin(sandbox.other())
    run.until(lambda: sandbox.observe().weight("canary") == 50)
    now = time.time()
    write("shop-hours", ("window", now - 60, now + OPEN_FOR), ("freeze", now - 1, now + OPEN_FOR))
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert (run.state, entry["outcome"]) == ("failed", "rolled_back"), entry["sentence"]
    assert "stocktaking" in entry["sentence"]
    assert sandbox.serves() == before


def test_an_urgent_release_passes_closed_calendars_with_a_second_person(sandbox: Sandbox) -> None:
    window(3000, 3600)
    sandbox.strategy("canary", {**KEEPS, "strategy": {"canary": SHORT}})
    version = sandbox.other()
    run = sandbox.start(version, urgent_reason="prices are wrong")
    run.until(lambda: run.asks)
    run.answer("bob", "Approve")
    run.until(lambda: run.waited_for("urgent_approval"))
    with pytest.raises(demo.SandboxError, match="403"):
        run.answer("alice", "Approve", "urgent_approval")
    run.answer("carol", "Approve", "urgent_approval")
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert (run.state, entry["outcome"]) == ("success", "released"), entry["sentence"]
    assert sandbox.serves() == version
    for word in ("prices are wrong", "bob", "carol"):
        assert word in entry["sentence"], entry["sentence"]
