"""Which history the command asks, where nobody has named one, and what it says of a release that runs."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import History, open_history
from release_pipelines.cli import app, where
from release_pipelines.core.model.command import Command
from release_pipelines.core.model.progress import Progress

run = CliRunner().invoke
CANARY = "release_shop/manual__2026-01-01#0"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A terminal without the variables that Airflow runs with; Airflow's folder is empty."""
    for name in (where.CONNECTION, "RELEASE_PIPELINES_STATE", *where.SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def history(home: Path) -> History:
    """One canary runs, in the file that Airflow uses without a connection."""
    it = open_history(f"sqlite:///{home}/release_pipelines/history.db")
    it.begin(CANARY, "shop", "release_shop", "manual__2026-01-01", "1.2.0", "ann")
    return it


@pytest.mark.parametrize("command", [["history"], ["show", "shop"], ["abort", "shop", "--reason", "it is slow"]])
def test_no_history_is_made_where_none_is_known(home: Path, command: list[str]) -> None:  # R12
    failed = run(app, command)
    assert failed.exit_code == 1
    assert (
        "No release history is known here: AIRFLOW_CONN_RELEASE_HISTORY is not set, no Airflow is set up in"
        in failed.stderr
    )
    assert not (home / "release_pipelines").exists()


@pytest.mark.parametrize("command", [["history"], ["show", "shop"], ["history", "nothing"]])
def test_a_history_that_nobody_named_is_said(history: History, home: Path, command: list[str]) -> None:
    said = run(app, command)
    assert said.exit_code == (1 if "nothing" in command else 0)  # an app that nobody knows
    file = home / "release_pipelines" / "history.db"
    asked, *more = said.stderr.splitlines()
    assert asked == f"Asked the file {file}, since AIRFLOW_CONN_RELEASE_HISTORY is not set."
    assert [it.partition(":")[0] for it in more] == (["No app nothing is known"] if "nothing" in command else [])


def test_a_named_history_is_said_where_it_knows_nothing(
    history: History, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv(where.CONNECTION, f"sqlite:///{home}/release_pipelines/history.db")
    assert run(app, ["history"]).stderr == ""
    assert "as AIRFLOW_CONN_RELEASE_HISTORY says." in run(app, ["history", "nothing"]).stderr


@pytest.fixture
def airflow(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """An Airflow is set up here; what it is asked, and what it says of its connection."""
    (home / "airflow.cfg").write_text(f"[database]\nsql_alchemy_conn = sqlite:///{home}/airflow.db\n")
    with sqlite3.connect(home / "airflow.db") as database:
        database.execute("CREATE TABLE connection (conn_id TEXT)")
    database.close()
    asked: list[Any] = []

    def answers(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        found = {
            "conn_type": "sqlite",
            "host": f"{home}/elsewhere.db",
            "port": None,
            "password": "None",
            "extra_dejson": {},
        }
        return subprocess.CompletedProcess(command, 0, f"a warning\n{json.dumps([found])}\n", "")

    monkeypatch.setattr(where.subprocess, "run", answers)
    return asked


def test_airflows_own_connection_is_asked(airflow: list[Any], history: History, home: Path) -> None:
    with sqlite3.connect(home / "airflow.db") as database:
        database.execute("INSERT INTO connection VALUES ('release_history')")
    database.close()
    elsewhere = open_history(f"sqlite:///{home}/elsewhere.db")
    elsewhere.begin("release_cart/one#0", "cart", "release_cart", "one", "3.0.0", "ann")
    said = run(app, ["history"])
    assert "cart" in said.stdout
    assert said.stderr == f"Asked the file {home}/elsewhere.db, as Airflow's connection `release_history` says.\n"
    [command] = airflow
    assert command[1:] == ["-m", "airflow", "connections", "get", "release_history", "--output", "json"]


def test_an_airflow_without_that_connection_is_not_waited_for(airflow: list[Any], history: History) -> None:
    assert "shop" in run(app, ["history"]).stdout
    assert airflow == []


def test_where_connections_are_kept_elsewhere_airflow_is_asked(
    airflow: list[Any], history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "acme.Vault")
    run(app, ["history"])
    assert len(airflow) == 1


def test_the_list_is_the_histories_own(history: History, home: Path) -> None:
    history.record_approval(CANARY, f"sha256:{'a' * 64}", "approved", "bob")
    history.record_approval(CANARY, f"sha256:{'a' * 64}", "approved", "carol")
    history.begin("release_cart/one#0", "cart", "release_cart", "one", "3.0.0", None)
    history.record_approval("release_cart/one#0", f"sha256:{'b' * 64}", "rejected", "dave")
    history.record_event("release_cart/one#0", "started", "robot started it for ann.", data={"by": "robot"})
    history.finish("release_cart/one#0", "failed", "Failed 3.0.0.")
    at = f"sqlite:///{home}/release_pipelines/history.db"
    for arguments, app_name, limit in (
        (["history"], None, 50),
        (["history", "shop"], "shop", 50),
        (["history", "--limit", "1"], None, 1),
    ):
        told = json.loads(run(app, [*arguments, "--json", "--database", at]).stdout)
        kept = history.releases(app_name, limit)
        assert [it["id"] for it in told] == [it.id for it in kept]
        assert [it["approver"] for it in told] == [it.approver for it in kept]
        assert [it["started_by"] for it in told] == [it.started_by for it in kept]
        assert [it["sentence"] for it in told] == [it.sentence for it in kept]


def test_ids_in_the_list_are_those_that_show_takes(history: History) -> None:
    heading, row = run(app, ["history"]).stdout.splitlines()
    assert "ID" in heading.split()
    assert CANARY in row.split()
    assert run(app, ["show", CANARY]).stdout.startswith("shop 1.2.0: running")


@pytest.mark.parametrize("words", [["1.2.0"], ["shop", "1.2.0"], ["manual__2026"]])
def test_a_release_is_found_by_its_version_or_its_run(history: History, words: list[str]) -> None:
    history.begin("release_shop/two#0", "shop", "release_shop", "two", "1.3.0", "ann")
    assert run(app, ["show", *words]).stdout.startswith("shop 1.2.0: running")
    failed = run(app, ["show", "shop", "9.9.9"])
    assert "The history knows no release and no app shop of version 9.9.9." in failed.stderr


def test_a_version_of_several_apps_needs_the_app(history: History) -> None:
    history.begin("release_cart/one#0", "cart", "release_cart", "one", "1.2.0", "ann")
    assert "Several apps have a version 1.2.0: say one of cart, shop before it." in run(app, ["show", "1.2.0"]).stderr
    assert run(app, ["show", "cart", "1.2.0"]).stdout.startswith("cart 1.2.0")


def test_a_running_canary_shows_its_weight_its_evidence_and_the_time_left(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now)  # the command takes its time, too
    progress = Progress(
        at=now - 3,
        environment="production",
        step="step_10",
        weight=10,
        traffic="the canary has 10 % of the traffic",
        measured=["error rate 0.4 % over 265 requests, limit 1 %"],
        missing=["share of requests over 0.5 s: 12 requests, at least 20 are needed"],
        earliest=now + 130.5,
        latest=now + 130.5,
        patience=60,
    )
    history.keep_progress({CANARY: progress, "release_gone/one#0": progress})
    history.keep_progress({CANARY: progress})
    told = run(app, ["show", "shop"]).stdout
    assert "step_10 in production: the canary has 10 % of the traffic" in told
    assert (
        "Measured: error rate 0.4 % over 265 requests, limit 1 %. Still missing: share of requests over 0.5 s: 12"
        in told
    )
    assert "2 min 10 s left." in told
    assert "3 s ago" in told
    assert json.loads(run(app, ["show", "shop", "--json"]).stdout)["progress"]["step"] == "step_10"
    assert history.attachments(CANARY) == []
    history.finish(CANARY, "released", "Released 1.2.0.")
    assert "time left" not in run(app, ["show", "shop"]).stdout


def test_why_a_person_went_back_is_not_called_urgent(history: History) -> None:
    history.begin("release_rollback/one#0", "shop", "release_rollback", "one", "1.2.0", "bob", reason="it is slow")
    told = run(app, ["show", "release_rollback/one"]).stdout
    assert "urgent" not in told
    assert ["because", "it", "is", "slow"] in [line.split() for line in told.splitlines()]


def test_a_release_of_single_operators_is_steered_without_a_file(
    history: History, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setattr(History, "answered", answered)
    history.begin("model_canary/one", "model", "model_canary", "one", "2.0.0", "ann")
    done = run(app, ["abort", "model", "--reason", "wrong weights", "--by", "ann"])
    assert (done.exit_code, done.stdout) == (0, "model 2.0.0: Done.\n")
    refused = run(app, ["skip", "model", "--by", "bob"])
    assert "There is no app model in" in refused.stderr


def answered(self: History, command: Command, seconds: float) -> Command:
    """The release takes the command up at once."""
    return command.model_copy(update={"answered_at": time.time(), "effect": "Done."})
