"""Approvals with the FAB auth manager, which compares ids that no task can look up (R10)."""

from __future__ import annotations

import getpass
import sqlite3
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("airflow.providers.fab") is None:
    pytest.skip("apache-airflow-providers-fab is not installed: `make auth` runs these", allow_module_level=True)

from tests.auth_managers.airflow import AIRFLOW, Airflow, Run, signed_in, start, started
from tests.end_to_end.browser import CHROMIUM


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    with started(tmp_path_factory.mktemp("fab")) as it:
        yield it


def recorded(airflow: Airflow, run: Run) -> list[tuple[Any, ...]]:
    """The decisions in the history: what, by whom, why."""
    with sqlite3.connect(airflow.home / "releases" / "history.db") as history:
        query = "select decision, by, note from release_approvals where release_id = ?"
        return history.execute(query, (run.id,)).fetchall()


def wrongly_answered(airflow: Airflow, run: Run, user: str, option: str = "Approve") -> None:
    """An answer that does not count: the release goes on waiting."""
    airflow.until(run.form)
    assert run.answer(user, option) == 200
    airflow.until(run.form)
    assert recorded(airflow, run) == []


@pytest.mark.parametrize("way", ["by_name", "by_email"])
def test_a_named_approver_approves_and_who_asked_does_not(airflow: Airflow, way: str) -> None:
    run = start(airflow, way, "alice")
    form = airflow.until(run.form)
    assert "alice cannot give it" in form["body"]
    wrongly_answered(airflow, run, "alice")
    wrongly_answered(airflow, run, "dora", "Reject")
    assert run.answer("bob", reason="looks fine") == 200
    assert airflow.until(run.ended) == "success"
    assert recorded(airflow, run) == [("approved", "bob", "looks fine")]


def test_where_ids_are_named_airflow_itself_refuses_everybody_else(airflow: Airflow) -> None:
    run = start(airflow, "by_id", "alice")
    airflow.until(run.form)
    assert [run.answer(user) for user in ("alice", "dora", "robot")] == [403, 403, 403]
    assert run.answer("bob", "Reject", reason="wrong prices") == 200
    assert airflow.until(run.ended) == "failed"
    assert recorded(airflow, run) == [("rejected", "bob", "wrong prices")]


def test_neither_a_robot_nor_for_whom_it_asks_approves(airflow: Airflow) -> None:
    run = start(airflow, "by_name", "robot", requested_by="bob@example.org")
    form = airflow.until(run.form)
    assert "**bob@example.org (started by robot)** asks to release" in form["body"]
    assert "bob@example.org and robot cannot give it" in form["body"]
    wrongly_answered(airflow, run, "bob")
    wrongly_answered(airflow, run, "robot")
    assert run.answer("carol") == 200
    assert airflow.until(run.ended) == "success"
    assert recorded(airflow, run) == [("approved", "carol", None)]


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_in_the_browser_a_named_approver_approves_and_who_asked_does_not(airflow: Airflow, tmp_path: Path) -> None:
    run = start(airflow, "by_name", "robot", requested_by="alice")
    airflow.until(run.form)
    for user in ("alice", "bob"):
        with signed_in(airflow, user) as page:
            page.goto(f"{airflow.url}{run.page}")
            page.get_by_text("bob or carol, until").wait_for()
            page.get_by_text("alice and robot cannot give it").wait_for()
            if user == "bob":
                page.get_by_role("textbox").last.fill("looks fine")
            page.screenshot(path=tmp_path / f"{user}.png", full_page=True)
            assert page.get_by_role("textbox").count() <= 2  # the reason, and perhaps a note
            page.get_by_role("button", name="Approve").click()
            page.get_by_text("Response received").wait_for()
        if user == "alice":
            airflow.until(run.form)
    assert airflow.until(run.ended) == "success"
    assert recorded(airflow, run) == [("approved", "bob", "looks fine")]


def test_a_run_of_the_command_line_is_asked_for_by_the_person_that_it_names(airflow: Airflow) -> None:
    conf = '{"requested_by": "carol"}'
    command = [*AIRFLOW, "dags", "trigger", "release_by_name", "--run-id", "cli", "--conf", conf]
    subprocess.run(command, env=airflow.environment, check=True, capture_output=True)
    run = Run(airflow, "release_by_name", "cli")
    form = airflow.until(run.form)
    assert f"**carol (started by {getpass.getuser()})** asks to release" in form["body"]
    wrongly_answered(airflow, run, "carol")
    assert run.answer("bob") == 200
    assert airflow.until(run.ended) == "success"
