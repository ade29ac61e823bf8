"""Processes die: an app's replicas, and Airflow's own. They come back, and a release in mid-canary goes on."""

from __future__ import annotations

import os
import signal
import time

from sandbox import demo
from sandbox.run import traffic
from tests.end_to_end.conftest import QUICK, Sandbox
from tests.end_to_end.test_people import CANARY

BACK_SECONDS = 60.0
SLOW = {"name": "slow", "source": "slow_requests", "slower_than": "5s", "limit": "50%"}
LENIENT = {"interval": "2s", "window": "10s", "metrics": [SLOW]}
"""Requests that die with a replica are no reason to go back here."""


def answered_since(moment: float) -> set[str]:
    """Versions that have answered requests of the steady traffic since then (Unix time in seconds)."""
    return {version for version, it in traffic()["versions"].items() if it["last_sent_at"] >= moment}


def test_a_release_outlives_its_replicas_and_airflows_triggerer_and_scheduler(sandbox: Sandbox) -> None:  # R5, R6
    sandbox.strategy("canary", {**QUICK, "strategy": {"canary": CANARY}, "analysis": LENIENT})
    before, version = sandbox.serves(), sandbox.other()
    run = sandbox.begin(version)
    run.until_task("production.step_10")
    run.until(lambda: sandbox.noted("step_10"))
    wanted = sandbox.ready()
    assert set(wanted) == {"stable", "canary"}

    assert sandbox.lost() == sandbox.lost_before
    died_at, killed = time.time(), sandbox.replicas()
    sandbox.kill("airflow-triggerer", "airflow-scheduler")
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    # The host's keeper brings them back, without Airflow; the proxy asks for their health every now and then.
    run.until(lambda: not sandbox.replicas() & killed and sandbox.ready() == wanted, BACK_SECONDS)
    ready_at = time.time()
    run.until(lambda: answered_since(ready_at) == {before, version}, BACK_SECONDS)
    back_at = time.time()
    assert sandbox.observe().weight("canary") == 10

    run.until(lambda: any(it["kind"] == "unwatched" for it in sandbox.history(run)["events"]))
    sandbox.lost_until(back_at)
    assert answered_since(died_at) <= {before, version}
    assert run.look()["production.step_10"] == "deferred"
    sandbox.type_command(run, "abort", "carol", "enough seen")
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert (run.state, entry["outcome"]) == ("failed", "aborted"), entry["sentence"]
    assert "Nobody watched from " in demo.said("report", entry["id"])
    assert sandbox.serves() == before
