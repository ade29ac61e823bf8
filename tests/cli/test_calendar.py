"""`release calendar`, and calendars in `release validate`."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import open_history
from release_pipelines.cli import app
from tests.adapters.calendars.texts import described, event, ics

run = CliRunner().invoke
NOW = datetime(2026, 11, 27, 9, 0, tzinfo=timezone.utc).timestamp()
WEEK = """
time_zone: Europe/Berlin
entries:
- {window: friday, days: fri, from: "09:00", to: "14:00", apps: shop}
- {window: gap, days: sun, from: "02:15", to: "02:45", apps: cart}
- {freeze: lunch, reason: hungry, days: daily, from: "13:02", for: 1h}
- {freeze: old, from: 2020-01-01, to: 2020-01-02}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/none.db")
    monkeypatch.setattr("time.time", lambda: NOW)
    (tmp_path / "eu.yaml").write_text(WEEK)
    return tmp_path


def test_programs_get_the_standing_the_openings_and_the_version_of_the_rules(folder):
    found = json.loads(run(app, ["calendar", "shop", "production", "--json"]).stdout)
    assert found["zone_rules"].startswith("20")
    (eu,) = found["calendars"]
    assert (eu["open"], eu["opens_at"], eu["closes_at"]) == (True, None, "2026-11-27T12:02:00.000+00:00")
    assert [it["opens_at"][:16] for it in eu["openings"]][:2] == ["2026-11-27T08:00", "2026-12-04T08:00"]
    assert [it["concerns"] for it in eu["entries"]] == [True, False, True, True]
    assert eu["entries"][2]["next"] == [
        {"begins_at": "2026-11-27T12:02:00.000+00:00", "ends_at": "2026-11-27T13:02:00.000+00:00"}
    ]


def test_where_there_is_no_history_what_is_planned_is_unknown(folder):
    assert json.loads(run(app, ["calendar", "--json"]).stdout)["planned"] is None
    failed = run(app, ["calendar", "--database", "mysql://127.0.0.1/x"])
    assert (failed.exit_code, "postgresql://… or sqlite:///… is expected" in failed.stderr) == (0, True)


def test_people_read_it_in_sentences_also_what_does_not_happen(folder):
    said = run(app, ["calendar", "shop"]).stdout
    assert 'eu is open: "friday" of calendar eu until Fri 27 Nov 2026 13:02 CET, when freeze "lunch" (hungry)' in said
    assert 'eu: "gap" does not happen on Sun 28 Mar 2027 02:15: clocks leave it out.' in said
    assert 'eu: freeze "old" is over and does not come again.' in said
    assert "gap" not in said.split("\n\n")[0]


def test_windows_that_overlap_are_told_where_they_may_concern_one_app(folder):
    (folder / "eu.yaml").write_text(
        "time_zone: Europe/Berlin\nentries:\n"
        '- {window: one, days: mon-fri, from: "20:00", to: "23:00"}\n'
        '- {window: two, days: sun, from: "22:00", to: "24:00"}\n'
        '- {window: three, days: fri, from: "22:00", to: "02:00", apps: shop}\n'
        '- {window: four, days: fri, from: "22:00", to: "02:00", apps: cart}\n'
    )
    told = json.loads(run(app, ["calendar", "--json"]).stdout)["remarks"]
    assert told == [
        f'eu: "one" and "{name}" overlap, first on Fri 27 Nov 2026 22:00 CET: they count as one'
        for name in ("three", "four")
    ]


def test_one_that_cannot_be_read_is_closed_and_said_beside_the_others(folder):
    (folder / "us.yaml").write_text("entries: [{window: w, days: moon}]")
    said = run(app, ["calendar"])
    assert said.exit_code == 0
    assert "us is closed: calendar us: us.yaml" in said.stdout


def test_no_calendar_at_all_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path))
    failed = run(app, ["calendar"])
    assert failed.exit_code == 1
    assert "has no calendars" in failed.stderr


def test_calendars_are_checked_with_the_project_and_alone(folder, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    assert run(app, ["validate"]).exit_code == 0
    assert run(app, ["validate", str(folder)]).stdout == "1 calendar, no mistakes.\n"
    (folder / "us.yaml").write_text('time_zone: Berlin\nentries: [{window: w, days: mon, from: 22:00, to: "23:00"}]')
    for path in ([], [str(folder)], [str(folder / "us.yaml")]):
        failed = run(app, ["validate", *path])
        assert failed.exit_code == 1
        assert "did you mean `Europe/Berlin`?" in failed.stderr
        assert "1320" in failed.stderr


KEPT = ics(event("DTSTART;TZID=Europe/Berlin:20261127T090000", "DURATION:PT3H", "EXDATE:20200101T000000Z"))


def test_an_icalendar_file_is_shown_and_checked_with_its_remarks(folder):
    (folder / "ops.yaml").write_text("ics: ops.ics\n")
    (folder / "ops.ics").write_text(KEPT)
    said = run(app, ["calendar"]).stdout
    assert 'ops is closed: freeze "freeze" of calendar ops until Fri 27 Nov 2026 11:00 UTC' in said
    assert "From ops.ics." in said
    remark = '"freeze": EXDATE 20200101T000000Z fits none of its occurrences.'
    assert f"ops: {remark}" in said
    checked = run(app, ["validate", str(folder)])
    assert (checked.stdout, checked.stderr) == ("2 calendars, no mistakes.\n", f"Warning: ops.yaml: {remark}\n")
    (folder / "ops.ics").write_text(KEPT.replace("Europe/Berlin", "Berlin"))
    failed = run(app, ["validate", str(folder)])
    assert failed.exit_code == 1
    assert failed.stderr.startswith('ops.ics: "freeze" (20261127T090000): `Berlin` is no time zone')
    assert 'ops is closed: calendar ops: ops.ics: "freeze"' in run(app, ["calendar"]).stdout


def test_a_zone_that_only_the_file_knows_is_shown_by_its_name(folder):
    (folder / "eu.yaml").unlink()
    (folder / "ops.yaml").write_text("ics: ops.ics\n")
    own = event("DTSTART;TZID=Plant:20261127T090000", "DTEND;TZID=Plant:20261127T120000", summary="audit")
    (folder / "ops.ics").write_text(ics("X-WR-TIMEZONE:Plant", described("Plant", 1), own))
    (found,) = json.loads(run(app, ["calendar", "--json"]).stdout)["calendars"]
    assert (found["time_zone"], found["entries"][0]["time_zone"]) == ("Plant", "Plant")
    assert found["entries"][0]["next"][0]["begins_at"] == "2026-11-27T08:00:00.000+00:00"
    assert "until Fri 27 Nov 2026 12:00" in run(app, ["calendar"]).stdout


def test_what_is_fetched_is_shown_with_its_source_its_age_and_the_last_mistake(folder, tmp_path):
    (folder / "eu.yaml").unlink()
    (folder / "ops.yaml").write_text("connection: ops_calendar\n")
    database = f"sqlite:///{tmp_path}/state/history.db"
    source = "the address in the Airflow connection `ops_calendar`"
    history = open_history(database).at(NOW - 7200)
    history.keep_calendar("ops", source, KEPT, None, None)
    history.at(NOW - 60).calendar_not_fetched(
        "ops", source, history.calendar_copies()["ops"], "it answered with status 503"
    )
    said = run(app, ["calendar", "--database", database]).stdout
    assert f"From {source}, as of 2 h ago." in said
    assert (
        "ops: fetching it has failed since Fri 27 Nov 2026 08:59 UTC: it answered with status 503; the copy of" in said
    )
    (found,) = json.loads(run(app, ["calendar", "--json", "--database", database]).stdout)["calendars"]
    assert found["source"] == source
    assert found["copy"] == {
        "checked_at": "2026-11-27T07:00:00.000+00:00",
        "age_seconds": 7200,
        "fetched_at": "2026-11-27T07:00:00.000+00:00",
        "failed_at": "2026-11-27T08:59:00.000+00:00",
        "mistake": "it answered with status 503",
    }
    checked = run(app, ["validate", str(folder)]).stdout
    assert f"ops.yaml: {source} is fetched by the DAG release_calendars, and was not looked at here." in checked


def test_without_a_history_what_is_fetched_is_closed_and_the_reason_is_said(folder, tmp_path):
    (folder / "ops.yaml").write_text("connection: ops_calendar\n")
    said = run(app, ["calendar", "--database", f"sqlite:///{tmp_path}/none.db"])
    assert "ops is closed: calendar ops: it has not been fetched yet" in said.stdout
    assert "There is no release history at" in said.stderr
