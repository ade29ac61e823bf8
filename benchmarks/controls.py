"""What people say to a running release: seconds until it has its effect, at every place where a release can be.

Real triggers with the pauses of production, a heartbeat beside them, and a real history. The platform is in memory: what a
cluster or an engine needs for a write comes on top (see ``abort`` and ``switch``). Who looks whether there is an effect asks
every 5 ms.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.table import Skip, table

RUNS = 3
"""Each control is given so often at each place, at any moment between two looks."""
AT_ONCE = 4
INTERVAL = 2.0
"""Seconds between two measurements."""
TARGET = 2.0


async def measured(place: int, kind: str) -> float:
    """Seconds that one control takes at one place."""
    from benchmarks.triggerer import close_sessions
    from tests.fakes import GOOD, FakePrometheus, World, artifact
    from tests.progression.scenes import scenes

    async with AsyncExitStack() as opened:
        # A question to the history that nobody waits for any more may still be open, and its file there.
        folder = opened.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        prometheus = await opened.enter_async_context(FakePrometheus())
        opened.push_async_callback(close_sessions)
        for name, connection in {
            "platform": {"conn_type": "generic"},
            "registry": {"conn_type": "generic"},
            "prometheus": {"conn_type": "prometheus", "host": prometheus.url},
            "release_history": {"conn_type": "sqlite", "host": f"{folder}/history.db"},
        }.items():
            os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(connection)
        world, scene = World(), scenes()[place]
        world.runs("stable", artifact("1.0.0", GOOD))
        _served_by(world)
        await opened.enter_async_context(scene.played(world, prometheus))
        await asyncio.sleep(random.uniform(0.5, 1.5))
        took, _ = await scene.give(kind)
        return took


def _served_by(world: Any) -> None:
    """Triggers find this world as their platform, and nobody answers a form."""
    from airflow.providers.standard.triggers.hitl import HITLTrigger

    from release_pipelines.airflow.hooks import platform

    async def nothing(_: Any) -> None:
        return None

    platform._build = lambda *_: world.platform()
    HITLTrigger._handle_response = nothing  # type: ignore[method-assign]


def at(place: int) -> dict[str, float]:
    """The worst of all runs by control, in a process of its own."""
    argv = [sys.executable, "-m", "benchmarks.controls", str(place)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"place {place}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Print the table."""
    from release_pipelines.core.model.command import COMMAND_KINDS
    from tests.progression.scenes import scenes

    names = [it.name for it in scenes()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        worst = list(pool.map(at, range(len(names))))
    rows = [[name, *(f"{it[kind]:.2f}" for kind in COMMAND_KINDS)] for name, it in zip(names, worst, strict=True)]
    most = [max(it[kind] for it in worst) for kind in COMMAND_KINDS]
    rows.append(["most", *(f"{it:.2f}" for it in most)])
    table(
        f"From a control to its effect, seconds, the worst of {RUNS} runs (target < {TARGET:g}; platform in memory)",
        ["", *COMMAND_KINDS],
        rows,
    )


def worker(place: int) -> None:
    """Measure at one place, and print the result as JSON."""
    from release_pipelines.core.model.command import COMMAND_KINDS
    from tests.progression import helpers

    helpers.ANALYSIS["interval"] = INTERVAL  # tests measure twenty times a second
    worst = {kind: max(asyncio.run(measured(place, kind)) for _ in range(RUNS)) for kind in COMMAND_KINDS}
    print(json.dumps(worst))


if __name__ == "__main__":
    worker(int(sys.argv[1]))
