"""The pages as Airflow mounts them, with its own way of telling who asks, over a history that a test fills."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from release_pipelines.adapters.history import History
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.pages.access import Viewer
from tests.pages import people

Client = Callable[..., TestClient]
SECRET = "a-secret-of-sixty-four-letters-that-signs-the-tokens-of-these-tests"
PREFIX = "/releases"


@pytest.fixture(scope="session")
def _database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(autouse=True)
def _rights(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", SECRET)
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", f"{people.__name__}.{people.AuthManager.__name__}")
    yield
    people.READ.clear()
    people.RUN.clear()


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    given = {"conn_type": "sqlite", "host": f"{tmp_path}/history.db"}
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", json.dumps(given))
    return HistoryHook().history()


@pytest.fixture
def server(_database: None, history: History) -> FastAPI:
    """What stands for Airflow's API server: the mount, and the auth manager."""
    from airflow.api_fastapi.app import _AuthManagerState, create_auth_manager

    from release_pipelines.pages.app import create

    _AuthManagerState.instance = None
    create_auth_manager()
    app = FastAPI()
    app.mount(PREFIX, create())
    return app


@pytest.fixture
def as_(server: FastAPI) -> Client:
    """A client by a person's name, signed in with Airflow's cookie; None: nobody."""

    def client(name: str | None, *, read: set[str] | None = None, run: set[str] | None = None) -> TestClient:
        made = TestClient(server, base_url="http://airflow.example", follow_redirects=False)
        if name is not None:
            if read is not None:
                people.READ[name] = read
            if run is not None:
                people.RUN[name] = run
            made.cookies.set("_token", token_of(name))
        return made

    return client


def token_of(name: str, expires_in: int = 600) -> str:
    """A token as Airflow's login gives it.

    :param expires_in: seconds; negative: it has expired.
    """
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    user = SimpleAuthManagerUser(username=name, role="viewer")
    return get_auth_manager().generate_jwt(user, expiration_time_in_seconds=expires_in)


def viewer_of(name: str) -> Viewer:
    """A person as the pages know them who look."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return Viewer(SimpleAuthManagerUser(username=name, role="viewer"), get_auth_manager())
