"""The whole sandbox: real Airflow processes, engine, proxy, metrics and traffic; people speak to the REST API."""

from __future__ import annotations

import asyncio
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from include.sandbox import demo, engine, processes, stack
from include.sandbox.airflow import Client, run_path
from include.sandbox.settings import DAG_ID, ROOT, STORE_URL, WEB
from release_pipelines.domain.release import target
from release_pipelines.domain.values import Observed
from release_pipelines.platforms.container_host import ContainerHost
from release_pipelines.spec.release import load_release

FINISHED = ("success", "failed")


def missing() -> str | None:
    """Why the sandbox cannot be started here."""
    programs = [name for name in ("docker-registry", "prometheus", "git") if not shutil.which(name)]
    if not (shutil.which("podman") or shutil.which("docker")):
        programs.insert(0, "podman or docker")
    return f"{', '.join(programs)} missing: include/sandbox/bootstrap installs it" if programs else None


class Sandbox:
    """What the tests see of it."""

    def __init__(self) -> None:
        self.spec = load_release(
            ROOT / "include" / "apps" / "storefront.yaml", ROOT / "include" / "config", ROOT / "include" / "analyses"
        )

    def observe(self, environment: str) -> Observed:
        """What runs, and who holds the lease."""

        async def look() -> Observed:
            async with ContainerHost(engine_url=engine.url(), state_url=STORE_URL, registry_auth=None) as platform:
                return await platform.observe(target(self.spec, environment))

        return asyncio.run(look())

    def serves(self, environment: str = "production") -> str | None:
        """The version that answers through the proxy."""
        host = target(self.spec, environment).host or ""
        request = urllib.request.Request(WEB, headers={"Host": host})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.headers["X-App-Version"]  # type: ignore[no-any-return]

    def history(self, run: Run) -> dict[str, Any]:
        """What the history says about a run."""
        [entry] = [it for it in demo.read_history() if run.run_id in it["id"]]
        return entry  # type: ignore[no-any-return]

    def start(self, version: str, user: str = "alice") -> Run:
        """Trigger a release."""
        return Run(version, user)

    def release(self, version: str) -> Run:
        """Release a version, approved by bob, and see it through."""
        run = self.start(version)
        run.until(lambda: run.asks)
        run.answer("bob", "Approve")
        run.until(lambda: run.ended)
        return run


class Run:
    """One release over REST. ``seen`` has the task states of every look."""

    def __init__(self, version: str, user: str) -> None:
        made = Client(user).call(
            "POST", f"/dags/{DAG_ID}/dagRuns", {"logical_date": None, "conf": {"version": version}}
        )
        self.run_id = made["dag_run_id"]
        self.path = run_path(DAG_ID, self.run_id)
        self.admin = Client("admin")
        self.seen: list[dict[str, str | None]] = []

    def look(self) -> dict[str, str | None]:
        """State by task, now."""
        found = self.admin.call("GET", f"{self.path}/taskInstances?limit=200")["task_instances"]
        self.seen.append({it["task_id"]: it["state"] for it in found})
        return self.seen[-1]

    @property
    def state(self) -> str:
        """Of the run."""
        return str(self.admin.call("GET", self.path)["state"])

    @property
    def note(self) -> str | None:
        """Of the run, as the list of runs shows it."""
        return self.admin.call("GET", self.path)["note"]  # type: ignore[no-any-return]

    @property
    def ended(self) -> bool:
        """Whether the run has."""
        return self.state in FINISHED

    @property
    def asks(self) -> bool:
        """Whether somebody is asked; a run that ends before fails the test with its states."""
        states = self.look()
        assert self.state not in FINISHED, states
        return states.get("approval") == "awaiting_input"

    def until(self, true: Callable[[], bool], seconds: float = 180) -> None:
        """Look twice a second until ``true()``."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"waited in vain; {self.look()}"
            time.sleep(0.5)
            self.look()

    def answer(self, user: str, option: str) -> None:
        """Answer the approval as somebody.

        :raises SandboxError: when Airflow refuses.
        """
        time.sleep(3)  # sooner it can overtake the process that asked
        path = f"{self.path}/taskInstances/approval/-1/hitlDetails"
        Client(user).call("PATCH", path, {"chosen_options": [option], "params_input": {}})

    def mark(self, state: str) -> None:
        """Mark the run by hand."""
        self.admin.call("PATCH", self.path, {"state": state})

    def clear(self, task: str) -> None:
        """Clear a task and what comes after it."""
        self.admin.call(
            "POST",
            f"/dags/{DAG_ID}/clearTaskInstances",
            {
                "dag_run_id": self.run_id,
                "task_ids": [task],
                "include_downstream": True,
                "only_failed": False,
                "dry_run": False,
                "reset_dag_runs": True,
            },
        )

    def xcom(self, task: str, key: str) -> Any:
        """What a task pushed."""
        name = urllib.parse.quote(task)
        return self.admin.call("GET", f"{self.path}/taskInstances/{name}/xcomEntries/{key}")["value"]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Started unless it runs already, and then left running; empty, but for version 1.0.0, which was just released."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with stack.alone():
        ours = processes.find("airflow-scheduler") is None
        try:
            stack.up()
            stack.empty()
            demo.wait_for_dag()
            yield Sandbox()
        finally:
            if ours:
                stack.down()
