"""The demo: three releases, the last of them bad; then what the history says about them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sandbox import airflow, app_file, cluster, processes, report, run, stack
from sandbox.settings import APP, DAG_ID, ROOT, VENV_BIN, SandboxError

EXPECTED = {"1.0.0": "released", "1.1.0": "released", "1.2.0": "rolled_back"}


def demo(strategy: str, context: str, registry: str) -> int:
    """Start everything, release three versions, show what happened.

    :param strategy: how new versions take over: a key of :data:`sandbox.app.STRATEGIES`.
    :param context: kubectl context to release to; empty: containers on this machine.
    :param registry: registry that this machine and the cluster both reach; empty: the sandbox's own.
    :return: the exit code: 1 when an outcome is not as expected or a request was lost.
    """
    app_file.check(strategy)
    place = cluster.Cluster(context, registry) if context else None
    if place:
        place.check()
    with stack.alone():
        return _demo(strategy, place)


def _demo(strategy: str, place: cluster.Cluster | None) -> int:
    begun = time.time()
    changed = place or strategy != "canary"
    stack.up(place, {"apps": app_file.write(strategy, cluster.DIFFERS if place else None)} if changed else None)
    print("Forgetting earlier releases")
    stack.empty(place)
    wait_for_dag(strategy)
    releases: list[run.Release] = []
    for version, expected in EXPECTED.items():
        print(f"\nReleasing {APP} {version} as alice ({strategy}); expected: {expected.replace('_', ' ')}")
        with _progress() as (say, live):
            releases.append(run.follow(DAG_ID, version, say, live, "bob", place.entry if place else None))
    history = {entry["version"]: entry for entry in read_history()}
    report.show(releases, history, time.time() - begun)
    mistakes = report.mistakes(releases, history, EXPECTED)
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return 1 if mistakes else 0


def release(app: str, version: str) -> int:
    """Release one version and follow it; somebody else approves it in the browser.

    :return: the exit code: 0 when it was released.
    """
    if not processes.find("airflow-api-server"):
        raise SandboxError("Airflow does not run: `make demo` or `make up` starts it.")
    print(f"bob or carol (password = name) approve it, when it asks, at {airflow.AIRFLOW}/required_actions")
    with _progress() as (say, live):
        done = run.follow(f"release_{app.replace('-', '_')}", version, say, live)
    entry: dict[str, Any] = next((entry for entry in read_history(app) if entry["version"] == version), {})
    print(entry.get("sentence") or f"The run ended as {done.state}.")
    return 0 if done.state == "success" else 1


def read_history(app: str = APP) -> list[dict[str, Any]]:
    """What the release history says, by the same command that people use."""
    return ask("history", app)  # type: ignore[no-any-return]


def ask(*arguments: str) -> Any:
    """What ``release … --json`` answers in the sandbox, see :func:`said`."""
    return json.loads(said(*arguments, "--json"))


def said(*arguments: str) -> str:
    """What ``release …`` prints in the sandbox.

    :raises SandboxError: with its own words when its exit code is not 0, or when nothing runs.
    """
    if not airflow.ENVIRONMENT.exists():
        raise SandboxError("The sandbox does not run.")
    env = {**processes.environment(), **airflow.read_environment(airflow.ENVIRONMENT.read_text().splitlines())}
    command = [str(VENV_BIN / "release"), *arguments]
    asked = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise SandboxError(f"`release {' '.join(arguments)}` failed:\n{asked.stderr[-800:]}")
    return asked.stdout


def wait_for_dag(strategy: str = "canary", timeout: float = 120) -> None:
    """Wait until Airflow has read the app's file as it is now, with this strategy.

    :raises SandboxError: when it does not, with Airflow's import errors.
    """
    admin, deadline = airflow.Client("admin"), time.monotonic() + timeout
    times: list[str | None] = []
    while True:
        if (last := airflow.read_anew(admin, DAG_ID)) not in times:
            times.append(last)
        # The first time that is new may be of a reading that began before the file was written.
        if len(times) > 2 or (last and times[0] is None):
            tasks = admin.call("GET", f"/dags/{DAG_ID}/tasks")["tasks"]
            if any(task["task_id"] == app_file.FIRST_TASK[strategy] for task in tasks):
                return
        if time.monotonic() > deadline:
            errors = admin.call("GET", "/importErrors")["import_errors"]
            why = "; ".join(error["stack_trace"].strip().splitlines()[-1] for error in errors) or "no import error"
            raise SandboxError(f"Airflow knows no DAG {DAG_ID} ({strategy}) after {timeout:.0f} s: {why}")
        time.sleep(0.5)


@contextmanager
def _progress() -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Lines for what changes and, on a terminal, one that says how it stands."""
    if not sys.stdout.isatty():
        yield (lambda line: print(line, flush=True)), (lambda _: None)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    with console.status("Starting") as status:
        yield (lambda line: console.print(Text(line))), (lambda text: status.update(Text(text)))
