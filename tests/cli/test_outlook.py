"""`release calendar APP`: may this app be released now, by the calendars that it keeps to?"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import open_history
from release_pipelines.cli import app
from tests.cli.test_steering import PRODUCTION

run = CliRunner().invoke
NOW = datetime(2026, 11, 27, 9, 0, tzinfo=timezone.utc).timestamp()  # a Friday
HOURS = 'entries: [{window: hours, days: mon-fri, from: "08:00", to: "16:00"}]\n'
STOP = "entries: [{freeze: stop, environments: [production], from: 2026-11-27, to: 2026-11-28}]\n"
SHOP = "name: shop\nenvironments: [staging, production]\n"


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    include = tmp_path / "include"
    for folder in ("apps", "config", "calendars"):
        (include / folder).mkdir(parents=True)
    (include / "config" / "production.yaml").write_text(PRODUCTION)
    (include / "config" / "staging.yaml").write_text(PRODUCTION.replace("production", "staging"))
    (include / "calendars" / "hours.yaml").write_text(HOURS)
    (include / "calendars" / "stop.yaml").write_text(STOP)
    (include / "apps" / "shop.yaml").write_text(f"{SHOP}calendars: [hours]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.time", lambda: NOW)
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/none.db")
    return include


def told(*words: str) -> tuple[int, str, str]:
    done = run(app, ["calendar", *words])
    return done.exit_code, done.stdout, done.stderr


def outlook(*words: str) -> dict[str, object]:
    return json.loads(run(app, ["calendar", *words, "--json"]).stdout)["outlook"]


def test_it_may_begin_where_all_calendars_that_the_app_names_are_open(include: Path) -> None:
    first = told("shop")[1].splitlines()[0]
    open_now = '(open: "hours" of calendar hours until Fri 27 Nov 2026 16:00 UTC)'
    assert first == (
        f"shop may be changed in production now {open_now}. It keeps to hours: all of them have to be open."
    )
    found = outlook("shop")
    assert (found["may_begin"], found["calendars"]) == (True, ["hours"])
    assert (found["latest_at"], found["next_at"]) == ("2026-11-27T16:00:00.000+00:00", "2026-11-30T08:00:00.000+00:00")


def test_one_that_is_closed_closes_and_the_next_moment_is_when_all_are_open(include: Path) -> None:
    (include / "config" / "production.yaml").write_text(f"{PRODUCTION}calendars: [stop]\n")
    first = told("shop", "production")[1].splitlines()[0]
    assert first.startswith('shop may not be changed in production now (closed: freeze "stop" of calendar stop')
    assert "It may begin next on Mon 30 Nov 2026 08:00 UTC. It keeps to stop, hours" in first
    assert told("shop", "staging")[1].startswith("shop keeps to no calendar in staging: its own count in production.\n")
    assert outlook("shop", "staging") is None
    (include / "apps" / "shop.yaml").write_text(SHOP)
    assert told("shop", "staging")[1].startswith("shop keeps to no calendar in staging.\n")


@pytest.mark.parametrize(("latest", "begins"), [("7h", True), ("8h", False)])
def test_the_latest_start_counts(include: Path, latest: str, begins: bool) -> None:
    (include / "apps" / "shop.yaml").write_text(f"{SHOP}calendars: [hours]\nlatest_start: {latest}\n")
    found = outlook("shop")
    assert (found["may_begin"], found["next_at"]) == (begins, "2026-11-30T08:00:00.000+00:00")
    assert found["latest_at"] == ("2026-11-27T09:00:00.000+00:00" if begins else None)


def test_a_latest_start_that_no_window_is_long_enough_for_is_named(include: Path) -> None:
    (include / "apps" / "shop.yaml").write_text(f"{SHOP}calendars: [hours]\nlatest_start: 9h\n")
    assert "`latest_start` (9 h) is longer than every window that is known" in told("shop")[1]
    assert outlook("shop")["next_at"] is None


def test_a_calendar_that_the_app_names_and_that_is_not_there_is_closed(include: Path) -> None:
    (include / "apps" / "shop.yaml").write_text(f"{SHOP}calendars: [hours, huors]\n")
    assert "(closed: calendar huors: huors.yaml: found no such file" in told("shop")[1].splitlines()[0]


def test_without_an_environment_the_apps_last_one_is_asked_about(include: Path) -> None:
    assert "stop is closed" in told("shop")[1]
    assert "stop is open" in told("shop", "staging")[1]


def test_names_that_nobody_knows_get_no_answer(include: Path, tmp_path: Path) -> None:
    assert told("shpo")[::2] == (
        1,
        "No app shpo is known: no file, no entry of a calendar and no release in a history is called so. Did you mean shop?\n",
    )
    assert told("shop", "prodution")[::2] == (
        1,
        "shop does not go to prodution: one of staging, production is expected.\n",
    )
    (include / "calendars" / "jobs.yaml").write_text(
        "entries: [{freeze: a, apps: [etl], environments: [warehouse], from: 2026-11-27, to: 2026-11-28}]\n"
    )
    assert "jobs is closed" in told("etl", "warehouse")[1]
    code, said, why = told("etl", "warehose")
    assert (code, said, "Did you mean warehouse?" in why) == (1, "", True)
    database = f"sqlite:///{tmp_path}/state/history.db"
    open_history(database).begin("own/one#0", "billing", "own", "one", "1.0.0", "ann")
    assert told("billing", "--database", database)[0] == 0


def test_an_app_with_a_mistake_gets_no_answer_for_its_tags_are_not_known(include: Path) -> None:
    (include / "apps" / "shop.yaml").write_text(f"{SHOP}tags: [web]\nworklods: 1\n")
    code, said, why = told("shop", "production")
    assert (code, said) == (1, "")
    assert why.startswith("shop.yaml: worklods: found an unknown key")


def test_nothing_planned_and_nothing_known_are_told_apart(include: Path, tmp_path: Path) -> None:
    said = told("shop")[1]
    assert "What is planned is not known: no history answers.\n" in said
    assert "whether a release fits" not in said
    database = f"sqlite:///{tmp_path}/state/history.db"
    open_history(database)
    said = told("shop", "--database", database)[1]
    assert "Nothing is planned.\n" in said
    assert "hours: whether a release fits into its windows is unknown: none has come to a good end here yet." in said


def test_tables_say_what_has_no_end_and_leave_out_what_does_not_come_again(include: Path) -> None:
    (include / "calendars" / "hours.yaml").write_text("entries: [{freeze: gone, from: 2020-01-01, to: 2020-01-02}]\n")
    table = told("shop", "staging")[1].split("\n\n")[1].splitlines()
    assert [" ".join(it.split()) for it in table[2:]] == ["opening Fri 3 Jan 2020 00:00 UTC no end known"]
    (include / "calendars" / "hours.yaml").write_text("entries: []\n")
    assert "opening  always  no end known" in told("shop", "staging")[1]
