"""`release validate` says "no mistakes" only where there are none, and what it looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.cli import app
from tests.cli.test_steering import PRODUCTION

run = CliRunner().invoke
OPEN = "entries: [{freeze: holidays, from: 2099-12-24, to: 2099-12-26}]\n"


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app shop, which keeps to the calendar hours, and the train weekly."""
    include = tmp_path / "include"
    for folder in ("apps", "config", "calendars", "trains"):
        (include / folder).mkdir(parents=True)
    (include / "config" / "production.yaml").write_text(PRODUCTION)
    (include / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\ncalendars: [hours]\n")
    (include / "calendars" / "hours.yaml").write_text(OPEN)
    (include / "trains" / "weekly.yaml").write_text("waves: [[shop]]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/none.db")
    return include


def checked(*path: Path) -> tuple[int, str, str]:
    done = run(app, ["validate", *map(str, path)])
    return done.exit_code, done.stdout, done.stderr


def test_all_files_that_were_looked_at_are_counted(include: Path) -> None:
    code, said, _ = checked()
    assert (code, said) == (0, "1 app file, 1 environment file, 1 calendar, 1 train, no mistakes.\n")


def test_a_broken_calendar_is_no_matter_of_trains_and_environments_that_do_not_name_it(include: Path) -> None:
    (include / "calendars" / "broken.yaml").write_text("entries: [{freeze: a, days: daliy}]\n")
    assert checked(include / "trains") == (0, "1 train, no mistakes.\n", "")
    assert checked(include / "config") == (0, "1 environment file, no mistakes.\n", "")
    assert checked(include / "apps" / "shop.yaml")[0] == 0
    for path in ([], [include / "calendars"]):
        code, _, said = checked(*path)
        assert (code, said.count("\n")) == (1, 1)
        assert said.startswith("broken.yaml: entries[0].days: found `daliy`")


def test_a_broken_calendar_is_told_of_whatever_names_it(include: Path) -> None:
    (include / "calendars" / "hours.yaml").write_text("entries: [{freeze: a, days: daliy}]\n")
    (include / "trains" / "weekly.yaml").write_text("waves: [[shop]]\ncalendars: [hours]\n")
    for path in (include / "apps" / "shop.yaml", include / "trains", include / "apps"):
        code, _, said = checked(path)
        assert (code, said.count("\n")) == (1, 1)
        assert said.startswith("hours.yaml: entries[0].days: found `daliy`")


def test_a_calendar_that_an_app_names_and_that_has_no_file_is_a_mistake(include: Path) -> None:
    (include / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\ncalendars: [hours, huors]\n")
    for path in ([], [include / "apps" / "shop.yaml"]):
        code, _, said = checked(*path)
        expected = "found `huors`, which has no file, expected one of hours; did you mean `hours`?"
        assert (code, said) == (1, f"shop.yaml: calendars[1]: {expected}\n")


@pytest.mark.parametrize(("where", "text"), [("production", PRODUCTION), ("base", "")])
def test_a_calendar_that_an_environment_names_and_that_has_no_file_is_a_mistake(
    include: Path, where: str, text: str
) -> None:
    (include / "config" / f"{where}.yaml").write_text(f"{text}calendars: [nope]\n")
    paths = [include / "config", include / "config" / "production.yaml", include / "apps" / "shop.yaml"]
    for path in ([], *([it] for it in paths)):
        code, _, said = checked(*path)
        expected = f"{where}.yaml: calendars[0]: found `nope`, which has no file, expected one of hours\n"
        assert (code, said) == (1, expected)
    (include / "calendars" / "hours.yaml").unlink()
    assert "expected a file nope.yaml in calendars/" in checked(include / "config")[2]


def test_a_calendars_file_that_nothing_reads_is_a_mistake(include: Path) -> None:
    (include / "calendars" / "holidays.yml").write_text(OPEN)
    for path in ([], [include / "calendars" / "holidays.yml"]):
        code, _, said = checked(*path)
        expected = "found the ending `.yml`, expected holidays.yaml: no other file is read as a calendar"
        assert (code, said) == (1, f"holidays.yml: {expected}\n")


def test_what_is_not_there_is_told_with_its_own_folder(include: Path) -> None:
    for folder, kind, variable in (
        ("calendars", "calendars", "CALENDARS"),
        ("trains", "trains", "TRAINS"),
        ("config", "environment files", "CONFIG"),
        ("apps", "app files", "APPS"),
    ):
        code, _, said = checked(include / folder / "nope.yaml")
        expected = f"the folder of the {kind}, or one of them, is expected; RELEASE_PIPELINES_{variable} names it."
        assert (code, said) == (1, f"{include / folder / 'nope.yaml'} does not exist: {expected}\n")
    code, _, said = checked(include)
    assert (code, "without a path all of the project is checked" in said) == (1, True)


def test_an_icalendar_file_is_checked_by_the_calendar_that_names_it(include: Path) -> None:
    (include / "calendars" / "told.ics").write_text("BEGIN:VCALENDAR\n")
    code, _, said = checked(include / "calendars" / "told.ics")
    assert (code, said.count("\n")) == (1, 1)
    assert said.endswith("that of a calendar is checked with the iCalendar file that it names.\n")


def test_entries_that_are_limited_to_nobody_here_are_warnings(include: Path) -> None:
    (include / "calendars" / "hours.yaml").write_text(
        "entries: [{freeze: a, apps: [shop, shpo], environments: prod, tags: web, from: 2099-12-24, to: 2099-12-26}]\n"
    )
    code, _, said = checked()
    assert code == 0
    assert said.splitlines()[:3] == [
        'Warning: hours: freeze "a" names `shpo` in `apps`, and no app file is called so (is `shop` meant?).',
        'Warning: hours: freeze "a" names `prod` in `environments`, and no environment file is called so.',
        'Warning: hours: freeze "a" names `web` in `tags`, and no app has that tag.',
    ]


def test_an_approver_of_a_train_who_approves_none_of_its_apps_is_a_warning(include: Path) -> None:
    (include / "trains" / "weekly.yaml").write_text(
        "waves: [[shop]]\napprovers: [zed, bob, {email: ann@example.org}]\n"
    )
    code, _, said = checked()
    expected = "Warning: train weekly: approvers: `zed` approves none of its apps: that answer counts for nothing.\n"
    assert (code, [it for it in said.splitlines(keepends=True) if "approvers" in it]) == (0, [expected])


def test_a_latest_start_that_no_window_is_long_enough_for_is_a_warning(include: Path) -> None:
    window = 'entries: [{window: night, days: daily, from: "01:00", to: "08:00"}]\n'
    (include / "calendars" / "hours.yaml").write_text(window)
    app_file = include / "apps" / "shop.yaml"
    for latest, warned in (("9h", True), ("7h", False)):
        app_file.write_text(f"name: shop\nenvironments: [production]\ncalendars: [hours]\nlatest_start: {latest}\n")
        code, _, said = checked(app_file)
        expected = "Warning: shop in production: `latest_start` (9 h) is longer than every window that is known: nothing can begin.\n"
        assert (code, expected in said) == (0, warned)
