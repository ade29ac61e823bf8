"""An Airflow of its own with the FAB auth manager: its processes, its users and its REST API."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.adapters.history.conftest import free_port
from tests.end_to_end.browser import CHROMIUM, PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
AIRFLOW = (sys.executable, "-m", "airflow")
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
USERS = {"robot": "Op", "alice": "Op", "bob": "Op", "carol": "Op", "dora": "Op", "vic": "Viewer", "nina": "Public"}
"""Their roles. Everybody's password is their name."""
MAKE_USERS = f"""
import json
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    builder.sm.sync_roles()
    for name, role in {USERS!r}.items():
        builder.sm.add_user(name, name, name, name + "@example.org", builder.sm.find_role(role), password=name)
    print("IDS", json.dumps({{name: str(builder.sm.find_user(username=name).id) for name in {USERS!r}}}))
"""


class Airflow:
    """Processes on SQLite.

    :param home: a folder for all that they write.
    :param path: below which it is served.
    :param components: the processes.
    """

    def __init__(self, home: Path, path: str = "", components: Sequence[str] = COMPONENTS) -> None:
        self.home, self.components = home, components
        port = free_port()
        self.url = f"http://127.0.0.1:{port}{path}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._tokens: dict[str, str] = {}
        self.environment = {
            **{name: it for name, it in os.environ.items() if not name.startswith("AIRFLOW")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
            "AIRFLOW_HOME": str(home),
            "RELEASE_PIPELINES_STATE": str(home / "releases"),
            "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        }

    def start(self) -> None:
        """Make the database and the users, and start the processes."""
        self._run(*AIRFLOW, "db", "migrate")
        said = self._run(sys.executable, "-c", MAKE_USERS)
        self.ids = json.loads(said.rpartition("IDS ")[2].splitlines()[0])
        self.environment["IDS_OF_USERS"] = json.dumps(self.ids)
        for component in self.components:
            with (self.home / f"{component}.log").open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        [*AIRFLOW, component], env=self.environment, stdout=log, stderr=log, start_new_session=True
                    )
                )
        self.until(self._healthy, 240)

    def stop(self) -> None:
        """End them, each with its children."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for it in self._processes:
                try:
                    os.killpg(it.pid, number)
                except ProcessLookupError:
                    continue
            for it in self._processes:
                try:
                    it.wait(10)
                except subprocess.TimeoutExpired:
                    continue

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as answer:
                health = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            return False
        beating = [it.replace("-", "_") for it in self.components if it != "api-server"]
        return all(health[it]["status"] == "healthy" for it in beating)

    def until(self, true: Callable[[], Any], seconds: float = 120) -> Any:
        """Look until ``true()`` gives something."""
        end = time.monotonic() + seconds
        while True:
            if given := true():
                return given
            assert time.monotonic() < end, "waited in vain; see the logs of the processes"
            time.sleep(0.5)

    def call(self, user: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call the REST API as somebody who has signed in: status and answer."""
        return self._send(method, f"/api/v2{path}", body, self.token(user))

    def token(self, user: str) -> str:
        """What somebody signs in with."""
        if user not in self._tokens:
            _, given = self._send("POST", "/auth/token", {"username": user, "password": user}, None)
            self._tokens[user] = given["access_token"]
        return self._tokens[user]

    def _send(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, method=method, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")


class Run:
    """A release that waits for its approval."""

    def __init__(self, airflow: Airflow, dag_id: str, run_id: str) -> None:
        self.airflow = airflow
        self.id = f"{dag_id}/{run_id}"
        self.path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
        self.page = f"/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/approval/required_actions"
        self.form_path = f"{self.path}/taskInstances/approval/-1/hitlDetails"

    def state(self, task: str = "approval") -> str | None:
        """Of a task."""
        _, found = self.airflow.call("robot", "GET", f"{self.path}/taskInstances/{task}")
        return found["state"]  # type: ignore[no-any-return]

    def form(self) -> Any:
        """The form that waits for an answer; None where none does."""
        assert self.ended() is None, "it does not wait: the logs of its tasks say why"
        status, found = self.airflow.call("robot", "GET", self.form_path)
        return found if status == 200 and not found["response_received"] and self.state() == "deferred" else None

    def answer(self, user: str, option: str = "Approve", **words: str) -> int:
        """Answer the form as somebody; gives Airflow's status."""
        body = {"chosen_options": [option], "params_input": words}
        return self.airflow.call(user, "PATCH", self.form_path, body)[0]

    def ended(self) -> str | None:
        """How the approval ended; None while it waits."""
        state = self.state()
        return state if state in ("success", "failed") else None


def start(airflow: Airflow, way: str, user: str, **conf: str) -> Run:
    """Let somebody start a release."""
    dag_id = f"release_{way}"

    def triggered() -> Any:
        status, made = airflow.call(user, "POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return made if status == 200 else None

    return Run(airflow, dag_id, airflow.until(triggered)["dag_run_id"])


@contextmanager
def signed_in(airflow: Airflow, user: str) -> Iterator[Page]:
    """A browser in which ``user`` has signed in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        page.set_default_timeout(PATIENCE)
        page.goto(airflow.url)
        for field in ("username", "password"):
            page.locator(f"input[name={field}]").fill(user)
        page.locator("input[type=submit], button[type=submit]").first.click()
        page.get_by_role("link", name="Dags").first.wait_for()
        yield page
        browser.close()


@contextmanager
def started(home: Path, **how: Any) -> Iterator[Airflow]:
    """An Airflow that is stopped in the end."""
    it = Airflow(home, **how)
    try:
        it.start()
        yield it
    finally:
        it.stop()
