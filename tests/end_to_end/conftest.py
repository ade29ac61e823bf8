"""The whole sandbox: real Airflow processes, engine, proxy, metrics and traffic; people speak to the REST API."""

from __future__ import annotations

import asyncio
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from release_pipelines.adapters.platforms.container_host.platform import ContainerHost
from release_pipelines.core.model.observation import Observed
from release_pipelines.spec.release import ReleaseSpec, load_release
from release_pipelines.spec.target import target
from sandbox import app_file, demo, engine, processes, stack
from sandbox.airflow import Client, run_path
from sandbox.run import questions, traffic
from sandbox.settings import (
    ADVISORIES,
    APP,
    CALENDARS,
    CONTROL_DAG,
    DAG_ID,
    ROLLBACK_DAG,
    ROOT,
    STATE,
    STORE_URL,
    TRAINS,
    WEB,
    SandboxError,
)

CONFIG = STATE / "config"
"""The environments' files, of which tests change some."""
FINISHED = ("success", "failed")
QUICK = {"environments": ["production"], "integration_test": []}
"""What the app's file says otherwise for tests that are about production alone."""


def missing() -> str | None:
    """Why the sandbox cannot be started here."""
    programs = [name for name in ("docker-registry", "prometheus", "git") if not shutil.which(name)]
    if not (shutil.which("podman") or shutil.which("docker")):
        programs.insert(0, "podman or docker")
    return f"{', '.join(programs)} missing: sandbox/bootstrap installs it" if programs else None


class Sandbox:
    """What the tests see of it."""

    def __init__(self) -> None:
        self.releases: list[Run] = []
        self.lost_before = 0
        """Requests that were lost before the test, or may be: see :meth:`lost_until`."""

    def strategy(self, name: str, differs: dict[str, Any] | None = None) -> None:
        """Let the app be released by this strategy from now on.

        :param differs: keys of the app's file that are replaced.
        """
        file = app_file.FOLDER / f"{APP}.yaml"
        before = file.read_text()
        app_file.write(name, differs)
        if file.read_text() != before:
            demo.wait_for_dag(name)

    @property
    def spec(self) -> ReleaseSpec:
        """What stands in the app's file now."""
        file = app_file.FOLDER / f"{APP}.yaml"
        return load_release(file, CONFIG, ROOT / "include" / "analyses")

    def observe(self, environment: str = "production") -> Observed:
        """What runs, and who holds the lease."""

        async def look() -> Observed:
            async with ContainerHost(engine_url=engine.url(), state_url=STORE_URL, registry_auth=None) as platform:
                return await platform.observe(target(self.spec, environment))

        with ThreadPoolExecutor(1) as beside:  # a test that has a browser has an event loop in its own thread
            return beside.submit(lambda: asyncio.run(look())).result()

    def serves(self, environment: str = "production") -> str | None:
        """The version that answers through the proxy."""
        host = target(self.spec, environment).host or ""
        request = urllib.request.Request(WEB, headers={"Host": host})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.headers["X-App-Version"]  # type: ignore[no-any-return]

    def other(self) -> str:
        """The good version that does not serve now."""
        return "1.1.0" if self.serves() == "1.0.0" else "1.0.0"

    def noted(self, step: str) -> bool:
        """Whether a release's hold of this step has begun in production: its clock runs, and its traffic stands."""
        route = self.observe().route
        return route is not None and route.note.step == step and route.note.started_at is not None

    def lost(self) -> int:
        """Requests of the steady traffic that nobody answered since the sandbox was emptied."""
        return int(traffic()["lost"])

    def lost_until(self, moment: float) -> None:
        """What was asked of a process that was killed may be lost, until then (Unix time in seconds), and nothing later."""
        account = traffic()
        later = [it for it in account["lost_requests"] if it["at"] > moment]
        assert not later, later
        self.lost_before = account["lost"]

    def ready(self) -> dict[str, int]:
        """Ready replicas by track, where there are any."""
        observed = self.observe()
        return {it: observed.track(it).ready for it in ("stable", *observed.beside) if observed.track(it).ready}

    def kill(self, *names: str) -> None:
        """Kill processes of the sandbox."""
        for process in filter(None, map(processes.find, names)):
            process.kill()

    def replicas(self) -> set[int]:
        """Pids of the main processes of all replicas that run in production."""
        containers = engine.client(engine.url()).containers.list(filters={"status": "running"}, ignore_removed=True)
        ours = [it for it in containers if it.name.startswith(f"{APP}-production-")]
        return {int(it.attrs["State"]["Pid"]) for it in ours}

    def at_rest(self) -> None:
        """Nothing of a release is left: stable has all traffic, nothing runs beside it, nobody holds a lease."""
        observed = self.observe()
        assert observed.weight("stable") == 100, observed
        assert not observed.beside, observed
        for environment in self.spec.environments:
            assert self.observe(environment.name).lease is None, environment.name

    def history(self, run: Run) -> dict[str, Any]:
        """What the history says about a run, as ``release show`` tells it."""
        [entry] = [it for it in demo.read_history() if run.run_id in it["id"]]
        return demo.ask("show", entry["id"])  # type: ignore[no-any-return]

    def start(self, version: str, user: str = "alice", **more: Any) -> Run:
        """Trigger a release.

        :param more: what the form says otherwise.
        """
        self.releases.append(Run(DAG_ID, {"version": version, **more}, user))
        return self.releases[-1]

    def end_all(self) -> None:
        """End what a test that failed left running: the next one shall not meet it."""
        for run in self.releases:
            if not run.ended:
                run.mark("failed")
                run.until(lambda: run.ended)  # noqa: B023
        self.releases.clear()

    def release(self, version: str) -> Run:
        """Release a version, approved by bob, and see it through."""
        run = self.begin(version)
        run.until(lambda: run.ended)
        return run

    def begin(self, version: str) -> Run:
        """Start a release that bob approves."""
        run = self.start(version)
        run.until(lambda: run.asks)
        run.answer("bob", "Approve")
        return run

    def command(self, run: Run, action: str, user: str, reason: str = "") -> None:
        """A signed-in user gives the running release a command by the DAG ``release_control``."""
        conf = {"app": APP, "action": action, "reason": reason}
        control = Run(CONTROL_DAG, conf, user)
        control.until(lambda: control.ended)
        assert control.state == "success", control.xcom("control", "reason")
        self._taken_up(run, action, user, reason, "release_control")

    def type_command(self, run: Run, action: str, user: str, reason: str = "") -> None:
        """The same in a terminal."""
        said = ["--reason", reason] if reason else []
        demo.ask(action, APP, "--by", user, *said, "--wait", "60s")
        self._taken_up(run, action, user, reason, f"release {action}")

    def _taken_up(self, run: Run, action: str, user: str, reason: str, how: str) -> None:
        """The history has the command with its name, its effect, and the time it took (which is only told)."""
        entry = self.history(run)
        [command] = [it for it in entry["commands"] if (it["kind"], it["by"]) == (action, user)][-1:]
        assert (command["reason"] or "") == reason
        assert command["effect"], command
        assert any(it["kind"] == "control" and f"{action} by {user}" in it["sentence"] for it in entry["events"])
        print(f"{how} by {user}: {command['at']} → {command['answered_at']}: {command['effect']}")

    def roll_back(self, user: str, reason: str, version: str = "") -> Run:
        """A signed-in user goes back by the DAG ``release_rollback``, and it is seen through."""
        run = Run(ROLLBACK_DAG, {"app": APP, "version": version, "reason": reason}, user)
        run.until(lambda: run.ended)
        return run


class Run:
    """One run of a DAG over REST. ``seen`` has the task states of every look."""

    def __init__(self, dag_id: str, conf: dict[str, Any], user: str) -> None:
        self.dag_id = dag_id
        made = Client(user).call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        self._is(made["dag_run_id"])

    def _is(self, run_id: str) -> None:
        self.run_id = run_id
        self.path = run_path(self.dag_id, run_id)
        self.admin = Client("admin")
        self.seen: list[dict[str, str | None]] = []

    @classmethod
    def known(cls, dag_id: str, run_id: str) -> Run:
        """One that somebody else has started."""
        run = cls.__new__(cls)
        run.dag_id = dag_id
        run._is(run_id)
        return run

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

    def log(self, task: str) -> str:
        """The task's log as Airflow's page shows it now."""
        path = f"{self.path}/taskInstances/{urllib.parse.quote(task)}/logs/1?full_content=true"
        lines = self.admin.call("GET", path)["content"]
        return "\n".join(str(it.get("event", "") if isinstance(it, dict) else it) for it in lines)

    @property
    def ended(self) -> bool:
        """Whether the run has."""
        return self.state in FINISHED

    @property
    def asks(self) -> bool:
        """Whether somebody is asked; a run that ends before fails the test with its states."""
        states = self.look()
        assert self.state not in FINISHED, states
        return "approval" in questions(self.admin, self.path)

    def until(self, true: Callable[[], bool], seconds: float = 300) -> None:
        """Look twice a second until ``true()``, which may look itself."""
        end = time.monotonic() + seconds
        looks = len(self.seen)
        while not true():
            assert time.monotonic() < end, f"waited in vain; {self.look()}"
            time.sleep(0.5)
            if len(self.seen) == looks:
                self.look()
            looks = len(self.seen)

    def until_task(self, task: str, state: str = "deferred", seconds: float = 300) -> None:
        """Look until a task is in a state; a run that ends before fails the test with its states."""

        def reached() -> bool:
            states = self.look()
            if states.get(task) == state:
                return True
            assert self.state not in FINISHED, states
            return False

        self.until(reached, seconds)

    def waited_for(self, task: str) -> bool:
        """Whether a triggerer waits for the task; a run that ends before fails the test with its states."""
        states = self.look()
        assert self.state not in FINISHED, states
        if states.get(task) != "deferred":
            return False
        trigger = self.admin.call("GET", f"{self.path}/taskInstances/{urllib.parse.quote(task)}")["trigger"]
        return trigger is not None and trigger["triggerer_id"] is not None

    def answer(self, user: str, option: str, task: str = "approval") -> None:
        """Answer the approval, or another question, as somebody.

        :raises SandboxError: when Airflow refuses.
        """
        # An answer before the scheduler has heard of the end of the process that asked costs the question another try.
        self.until(lambda: self.waited_for(task))
        path = f"{self.path}/taskInstances/{task}/-1/hitlDetails"
        Client(user).call("PATCH", path, {"chosen_options": [option], "params_input": {}})

    def mark(self, state: str) -> None:
        """Mark the run by hand."""
        self.admin.call("PATCH", self.path, {"state": state})

    def clear(self, task: str) -> None:
        """Clear a task and what comes after it."""
        self.admin.call(
            "POST",
            f"/dags/{self.dag_id}/clearTaskInstances",
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
        """What a task pushed; None: nothing."""
        name = urllib.parse.quote(task)
        try:
            return self.admin.call("GET", f"{self.path}/taskInstances/{name}/xcomEntries/{key}")["value"]
        except SandboxError:
            return None


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[Sandbox]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with stack.alone():
        ours = processes.find("airflow-scheduler") is None
        try:
            shutil.copytree(ROOT / "include" / "calendars", CALENDARS, dirs_exist_ok=True)
            shutil.copytree(ROOT / "include" / "config", CONFIG, dirs_exist_ok=True)
            with (CONFIG / "base.yaml").open("a") as base:
                base.write(f"advisories: {{osv: [{ADVISORIES}], leave_out: [generic]}}\n")
            folders = {"apps": app_file.write("canary"), "calendars": CALENDARS, "trains": TRAINS, "config": CONFIG}
            stack.up(folders=folders)
            stack.empty()
            demo.wait_for_dag()
            yield Sandbox()
        finally:
            if ours:
                stack.down()


@pytest.fixture(scope="session")
def serving(_sandbox: Sandbox) -> Run:
    """1.0.0 was released as the first version; the requester tried to approve it first."""
    run = _sandbox.start("1.0.0")
    run.until(lambda: run.asks)
    with pytest.raises(SandboxError, match="403"):  # R10
        run.answer("alice", "Approve")
    run.answer("bob", "Approve")
    run.until(lambda: run.ended)
    assert _sandbox.serves() == _sandbox.serves("staging") == "1.0.0", run.look()
    return run


@pytest.fixture
def sandbox(_sandbox: Sandbox, serving: Run) -> Iterator[Sandbox]:
    """Started unless it runs already, and then left running. A good version serves; a test says by which strategy it releases.
    Whatever a test does, no request of the steady traffic may be lost, and nothing of a release may be left."""
    _sandbox.lost_before = _sandbox.lost()
    try:
        yield _sandbox
    finally:
        _sandbox.end_all()
    _sandbox.at_rest()
    assert _sandbox.lost() == _sandbox.lost_before, traffic()["lost_requests"]
