"""`release schedule` against Airflow's own REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from release_pipelines.cli import app
from tests.pages.serving import served
from tests.pipeline.conftest import Releases


@pytest.fixture
def api(_database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an API server on this machine, whose users are all admins."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    purge_cached_app()
    with served(create_app("core")) as port:
        yield f"http://127.0.0.1:{port}"
    purge_cached_app()


@pytest.mark.parametrize("releases", ["calendars: [eu]\n"], indirect=True)
def test_a_plan_is_a_run_of_its_dag_and_the_same_one_when_it_is_asked_for_again(
    releases: Releases, api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "eu.yaml").write_text("entries:\n- {window: always, days: daily}\n")
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path / "calendars"))
    monkeypatch.setenv("RELEASE_PIPELINES_APPS", str(releases.apps))
    monkeypatch.setenv("RELEASE_PIPELINES_CONFIG", str(releases.config))
    monkeypatch.setenv("AIRFLOW_URL", api)
    monkeypatch.setenv("AIRFLOW_TOKEN", httpx.get(f"{api}/auth/token").json()["access_token"])
    start = (datetime.now(timezone.utc) + timedelta(days=3)).strftime("%Y-%m-%d %H:%M UTC")

    def plan(*more: str) -> Result:
        return CliRunner().invoke(app, ["schedule", "shop", "1.4.0", "--at", start, "--wait", "0s", "--json", *more])

    first, second = (json.loads(plan("--notes", "sale").stdout) for _ in range(2))
    assert (first["new"], second["new"]) == (True, False)
    assert first["run_id"] == second["run_id"]
    assert (first["state"], first["dag_id"]) == ("asked", "release_shop")

    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState

    with create_session() as session:
        run = session.query(DagRun).filter_by(run_id=first["run_id"]).one()
        assert run.conf == {"version": "1.4.0", "start_at": start, "notes": "sale"}
        assert run.logical_date is None
        run.get_task_instance("preflight", session=session).set_state(TaskInstanceState.SUCCESS, session=session)
    assert json.loads(plan().stdout)["state"] == "planned"
    with create_session() as session:
        run = session.query(DagRun).filter_by(run_id=first["run_id"]).one()
        run.set_state(DagRunState.FAILED)
    assert json.loads(plan().stdout)["run_id"] == f"{first['run_id']}-2"
