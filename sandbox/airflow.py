"""Airflow itself: four processes on PostgreSQL, users who may start and approve, and its REST API."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import Any

from sandbox import app_file, processes, services
from sandbox.settings import (
    AIRFLOW,
    CONTROL_DAG,
    PROMETHEUS,
    REGISTRY,
    ROLLBACK_DAG,
    ROOT,
    STATE,
    STORE_URL,
    VENV_BIN,
    SandboxError,
)

HOME = STATE / "airflow"
ENVIRONMENT = STATE / "environment"
USERS = {"admin": "admin", "alice": "user", "bob": "user", "carol": "user", "vera": "viewer", "sam": ""}
"""Everybody's password is their name: all of it is on loopback. vera may only look, and sam may nothing."""
TOKEN = "/auth/token"  # noqa: S105
HOOKS = "hooks"
"""The secret by which forges and registries are known here."""
TRIES = 5
"""So often a question is asked again that a busy machine has not answered."""
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")


def _secrets() -> dict[str, str]:
    """Keys that are made once and kept: sessions and connections survive a restart."""
    path = HOME / "secrets.json"
    if not path.exists():
        HOME.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(
            json.dumps(
                {
                    "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
                    "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
                    "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                }
            )
        )
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def variables(engine_url: str, base_image: str, extra: dict[str, str] | None = None) -> dict[str, str]:
    """All environment variables of the Airflow processes.

    :param engine_url: address of the container engine.
    :param base_image: image that the sample app is built on.
    :param extra: more variables, such as the connections of a Kubernetes cluster.
    """
    engine = {"state_url": STORE_URL, "build_args": {"BASE_IMAGE": base_image}}
    connections = {
        "sandbox_engine": {"conn_type": "container_host", "host": engine_url, "extra": engine},
        "sandbox_registry": {"conn_type": "registry", "host": REGISTRY, "extra": {"insecure": True}},
        "sandbox_prometheus": {"conn_type": "prometheus", "host": PROMETHEUS},
        "release_history": {
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": services.DATABASE_PORT,
            "login": "postgres",
            "schema": "releases",
        },
        "airflow_api": {"conn_type": "http", "host": AIRFLOW, "login": "admin", "password": "admin"},
        "release_hooks": {"conn_type": "generic", "password": HOOKS},
    }
    return {
        "AIRFLOW_HOME": str(HOME),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),  # before an installed one of elsewhere
        "SANDBOX_CODE": _code(),
        "RELEASE_PIPELINES_STATE": str(HOME / "release_pipelines"),
        "RELEASE_PIPELINES_APPS": str(ROOT / "include" / "apps"),  # the API server looks there what a push means
        "RELEASE_PIPELINES_CONFIG": str(ROOT / "include" / "config"),
        "RELEASE_PIPELINES_CALENDARS": str(ROOT / "include" / "calendars"),
        "RELEASE_PIPELINES_TRAINS": str(ROOT / "include" / "trains"),
        "RELEASE_PIPELINES_VEX": str(ROOT / "include" / "vex"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",  # else a file that changed is read, and not kept for 30 s
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{AIRFLOW}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(HOME / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": services.database_url("airflow"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": AIRFLOW.rsplit(":", 1)[-1],
        "AIRFLOW__API__BASE_URL": AIRFLOW,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__EXPOSE_CONFIG": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",  # who cannot wait asks: read_anew()
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(HOME / "logs"),
        **_secrets(),
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()},
        **(extra or {}),
    }


def _code() -> str:
    """When the package was changed last: processes that have imported it before are started anew."""
    changed = (path.stat().st_mtime for path in (ROOT / "plugins").rglob("*.py"))
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(max(changed)))


def read_environment(lines: list[str]) -> dict[str, str]:
    """The variables in the lines of ``.sandbox/environment``."""
    return dict(tuple(shlex.split(line)[1].split("=", 1)) for line in lines)


def start(values: dict[str, str]) -> None:
    """Start Airflow and wait until it is healthy; processes that run with other variables are started anew.

    :param values: what :func:`variables` gives.
    """
    lines = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in values.items())
    changed = not ENVIRONMENT.exists() or ENVIRONMENT.read_text() != lines
    if changed:
        stop()
        ENVIRONMENT.touch(mode=0o600)
        ENVIRONMENT.write_text(lines)
    (HOME / "passwords.json").write_text(json.dumps({name: name for name in USERS}))
    if not all(processes.find(f"airflow-{component}") for component in COMPONENTS):
        migrated = subprocess.run(
            [str(VENV_BIN / "airflow"), "db", "migrate"],
            env={**processes.environment(), **values},
            capture_output=True,
            text=True,
        )
        if migrated.returncode:
            raise SandboxError(f"airflow db migrate failed:\n{migrated.stderr[-1500:]}")
        for component in COMPONENTS:
            address = AIRFLOW if component == "api-server" else ""
            command = [VENV_BIN / "python", "-m", "sandbox.scheduler"] if component == "scheduler" else None
            command = command or [VENV_BIN / "airflow", component]
            processes.start(f"airflow-{component}", command, values, address=address)
    processes.wait_until(_healthy, "airflow-api-server", timeout=180, pause=0.5)


def _healthy() -> bool:
    try:
        with urllib.request.urlopen(f"{AIRFLOW}/api/v2/monitor/health", timeout=5) as response:  # noqa: S310
            health = json.load(response)
    except (urllib.error.URLError, OSError, ValueError):
        return False
    parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    return all(health.get(part, {}).get("status") == "healthy" for part in parts)


def stop() -> None:
    """End the four processes."""
    processes.stop(*(f"airflow-{component}" for component in COMPONENTS))


class Client:
    """Airflow's REST API as one user.

    :param user: name, which is the password too.
    """

    def __init__(self, user: str) -> None:
        self.user = user
        self._token = ""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call ``/api/v2{path}``; returns the parsed answer, None when it is empty.

        :raises SandboxError: with Airflow's own words when it refuses.
        """
        if not self._token:
            given = self._send("POST", TOKEN, {"username": self.user, "password": self.user})
            self._token = given["access_token"]
        return self._send(method, f"/api/v2{path}", body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        request = urllib.request.Request(  # noqa: S310
            AIRFLOW + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        tries = TRIES if method == "GET" or path == TOKEN else 1  # what changes something is not sent twice
        for left in reversed(range(tries)):
            try:
                with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                    content = response.read()
                return json.loads(content) if content else None
            except urllib.error.HTTPError as error:
                said = error.read().decode(errors="replace")[:400]
                raise SandboxError(f"Airflow answers {error.code} to {method} {path} by {self.user}: {said}") from error
            except OSError as error:
                if not left:
                    raise SandboxError(f"Airflow does not answer at {AIRFLOW}: {error}") from error
                time.sleep(1)


def read_anew(admin: Client, dag_id: str) -> str | None:
    """Ask Airflow to read a DAG's file now; returns when it has read it last, None when there is no such DAG yet."""
    try:
        dag = admin.call("GET", f"/dags/{dag_id}")
    except SandboxError:
        return None
    with suppress(SandboxError):  # somebody has asked already
        admin.call("PUT", f"/parseDagFile/{dag['file_token']}")
    return str(dag["last_parsed_time"])


def forget_runs() -> None:
    """Delete all runs of the apps' DAGs, and of the DAGs with which people steer them."""
    releases = [f"release_{app.replace('-', '_')}" for app in app_file.names()]
    for dag_id in (*releases, ROLLBACK_DAG, CONTROL_DAG):
        _forget_runs(Client("admin"), dag_id)


def _forget_runs(admin: Client, dag_id: str) -> None:
    try:
        runs = admin.call("GET", f"/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
    except SandboxError:
        return  # no such DAG yet
    for run in runs:
        path = run_path(dag_id, run["dag_run_id"])
        if run["state"] in ("queued", "running"):
            admin.call("PATCH", path, {"state": "failed"})
            _wait_for_teardowns(admin, path)
        admin.call("DELETE", path)


def _wait_for_teardowns(admin: Client, path: str, timeout: float = 90) -> None:
    """A run that is marked as failed first returns its traffic and its lease, and is running until then."""
    deadline = time.monotonic() + timeout
    while admin.call("GET", path)["state"] in ("queued", "running"):
        if time.monotonic() > deadline:
            raise SandboxError(f"A release does not end although it was marked as failed: {AIRFLOW}{path}")
        time.sleep(0.5)


def run_path(dag_id: str, run_id: str) -> str:
    """The REST path of a run."""
    return f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id, safe='')}"
