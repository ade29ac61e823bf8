"""Runs begin when a window opens."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path

import pendulum
import pytest
from airflow.exceptions import AirflowTimetableInvalid
from airflow.models.dag import DagModel
from airflow.sdk.exceptions import TaskDeferred
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction

from release_pipelines.airflow import timetable as timetables
from release_pipelines.airflow.timetable import MaintenanceWindowTimetable
from release_pipelines.operators import WindowBranchOperator
from release_pipelines.pages.plugin import ReleasePipelinesPlugin
from release_pipelines.sensors import ReleaseWindowSensor
from release_pipelines.triggers import ReleaseWindowTrigger

ALWAYS = TimeRestriction(earliest=None, latest=None, catchup=True)


def moment(text: str) -> pendulum.DateTime:
    return pendulum.instance(datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc))


@pytest.fixture(autouse=True)
def _untold(monkeypatch):
    """What another test was told of a timetable."""
    monkeypatch.setattr(timetables, "_told", {})


@pytest.fixture
def write(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path))

    def make(entry: str, zone: str = "Europe/Berlin", name: str = "eu") -> None:
        (tmp_path / f"{name}.yaml").write_text(f"time_zone: {zone}\nentries:\n- {entry}\n")

    return make


@pytest.fixture
def clock(monkeypatch):
    def at(text: str) -> None:
        monkeypatch.setattr("time.time", lambda: moment(text).timestamp())

    return at


def run(start: str, end: str) -> DagRunInfo:
    return DagRunInfo(run_after=moment(start), data_interval=DataInterval(moment(start), moment(end)))


SATURDAYS = '{window: w, days: sat, from: "22:00", to: "02:00"}'
BEFORE = run("2026-11-14T21:00Z", "2026-11-15T01:00Z")
MISSED = run("2026-11-21T21:00Z", "2026-11-22T01:00Z")
AFTER = run("2026-11-28T21:00Z", "2026-11-29T01:00Z")


def next_run(last: DagRunInfo | None = None) -> DagRunInfo | None:
    return MaintenanceWindowTimetable("eu").next_dagrun_info_v2(last_dagrun_info=last, restriction=ALWAYS)


def test_a_window_that_is_still_open_gets_its_run_late_and_only_once(write, clock):
    write(SATURDAYS)
    clock("2026-11-21T23:30Z")
    assert next_run(BEFORE) == MISSED
    assert next_run(MISSED) == AFTER


def test_missed_windows_are_told_and_not_caught_up(write, clock, caplog):
    write(SATURDAYS)
    clock("2026-11-22T09:00Z")
    assert next_run(BEFORE) == AFTER
    assert "1 window was missed" in caplog.text


def test_of_five_missed_windows_none_is_caught_up(write, clock, caplog):
    write(SATURDAYS)
    clock("2026-12-20T09:00Z")
    assert next_run(BEFORE) == run("2026-12-26T21:00Z", "2026-12-27T01:00Z")
    assert "5 windows were missed" in caplog.text


@pytest.mark.parametrize("asked", ["2026-11-01T05:15Z", "2026-11-01T05:45Z", "2026-11-01T06:15Z", "2026-11-01T08:29Z"])
def test_asked_inside_of_a_doubled_hour_it_is_still_one_run(write, clock, asked):
    write('{window: w, days: daily, from: "01:30", to: "03:30"}', "America/New_York")
    day_before, doubled = run("2026-10-31T05:30Z", "2026-10-31T07:30Z"), run("2026-11-01T05:30Z", "2026-11-01T08:30Z")
    clock(asked)
    assert next_run(day_before) == doubled
    assert next_run(doubled) == run("2026-11-02T06:30Z", "2026-11-02T08:30Z")


def test_a_missed_window_is_told_once_however_often_the_scheduler_asks(write, clock, caplog):
    write(SATURDAYS, name="once")
    timetable = MaintenanceWindowTimetable("once")
    asked = {"last_dagrun_info": BEFORE, "restriction": ALWAYS}
    clock("2026-11-22T09:00Z")
    for again in (timetable, timetable, MaintenanceWindowTimetable.deserialize(timetable.serialize())):
        assert again.next_dagrun_info_v2(**asked) == AFTER
    assert caplog.text.count("missed since the last run") == 1
    clock("2026-11-29T09:00Z")
    timetable.next_dagrun_info_v2(**asked)
    assert caplog.text.count("missed since the last run") == 2
    assert "1 window was missed since the last run, the last one from 2026-11-28T21:00:00Z" in caplog.text


def test_after_many_missed_windows_it_works_at_once(write, clock):
    write('{window: w, days: daily, from: "22:00", to: "22:01"}')
    clock("2026-11-22T09:00Z")
    found = next_run(run("2026-07-22T20:00Z", "2026-07-22T20:01Z"))
    assert found == run("2026-11-22T21:00Z", "2026-11-22T21:01Z")


@pytest.mark.parametrize(
    ("begin", "runs"),
    [
        (
            "2026-03-06T12:00Z",
            [
                ("2026-03-07T06:30Z", "2026-03-07T08:30Z"),
                ("2026-03-08T06:30Z", "2026-03-08T07:30Z"),
                ("2026-03-09T05:30Z", "2026-03-09T07:30Z"),
            ],
        ),
        (
            "2026-10-30T12:00Z",
            [
                ("2026-10-31T05:30Z", "2026-10-31T07:30Z"),
                ("2026-11-01T05:30Z", "2026-11-01T08:30Z"),
                ("2026-11-02T06:30Z", "2026-11-02T08:30Z"),
            ],
        ),
    ],
)
def test_runs_rise_strictly_over_changes_of_the_clock(write, clock, begin, runs):
    write('{window: w, days: daily, from: "01:30", to: "03:30"}', "America/New_York")
    clock(begin)
    last = None
    for start, end in runs:
        last = next_run(last)
        assert last == run(start, end)


def planned(info: DagRunInfo) -> DagModel:
    """What Airflow keeps of a run that it planned when it read the file."""
    model = DagModel(dag_id="windows", next_dagrun=info.logical_date, next_dagrun_create_after=info.run_after)
    model.next_dagrun_data_interval = info.data_interval
    return model


def test_a_run_that_was_planned_begins_late_in_its_window(write, clock):
    write(SATURDAYS)
    clock("2026-11-22T00:59Z")
    assert MaintenanceWindowTimetable("eu").next_run_info_from_dag_model(dag_model=planned(MISSED)) == MISSED


@pytest.mark.parametrize(
    ("now", "entry"),
    [
        ("2026-11-22T01:00Z", SATURDAYS),
        ("2026-11-21T21:00Z", SATURDAYS + "\n- {freeze: f, from: 2026-11-21, to: 2026-11-23}"),
    ],
    ids=["the scheduler was away", "a freeze was put in"],
)
def test_a_run_that_was_planned_for_a_window_that_is_not_open_is_none(write, clock, now, entry):
    write(entry)
    clock(now)
    model = planned(MISSED)
    with pytest.raises(AirflowTimetableInvalid, match="The next one opens at 2026-11-28T21:00:00"):
        MaintenanceWindowTimetable("eu").next_run_info_from_dag_model(dag_model=model)
    assert (model.next_dagrun, model.next_dagrun_create_after) == (AFTER.logical_date, AFTER.run_after)
    assert model.next_dagrun_data_interval == AFTER.data_interval


def test_a_run_that_was_planned_for_the_last_window_leaves_none_behind(write, clock):
    write('{window: w, from: "2026-11-21 22:00", to: "2026-11-22 02:00"}')
    clock("2026-11-23T00:00Z")
    model = planned(MISSED)
    with pytest.raises(AirflowTimetableInvalid, match="at no time that is known"):
        MaintenanceWindowTimetable("eu").next_run_info_from_dag_model(dag_model=model)
    assert model.next_dagrun_create_after is None


def test_a_freeze_in_the_middle_of_a_window_makes_no_second_run(write, clock, caplog):
    write(SATURDAYS + '\n- {freeze: f, days: sat, from: "23:00", to: "24:00"}')
    for now in ("2026-11-21T21:30Z", "2026-11-21T22:30Z", "2026-11-21T23:30Z"):
        clock(now)
        assert next_run(BEFORE) == MISSED
        assert next_run(MISSED) == AFTER
    assert "missed" not in caplog.text


def test_a_freeze_at_the_beginning_of_a_window_puts_its_run_off(write, clock):
    write(SATURDAYS + '\n- {freeze: f, days: sat, from: "21:00", to: "23:00"}')
    clock("2026-11-21T21:30Z")
    assert next_run(BEFORE) == run("2026-11-21T22:00Z", "2026-11-22T01:00Z")


def test_where_there_are_only_freezes_a_run_begins_when_one_ends(write, clock):
    write("{freeze: f, from: 2026-12-24, to: 2026-12-26}\n- {freeze: g, from: 2027-01-01, to: 2027-01-01}")
    clock("2026-11-21T21:30Z")
    assert next_run() == run("2026-12-26T23:00Z", "2026-12-31T23:00Z")
    clock("2026-12-28T00:00Z")
    assert next_run(run("2026-12-26T23:00Z", "2026-12-31T23:00Z")).run_after == moment("2027-01-01T23:00Z")


@pytest.mark.parametrize("asked", ["2026-11-01T05:45Z", "2026-11-01T06:45Z", "2026-03-08T07:00Z", "2026-06-01T00:00Z"])
def test_a_manual_run_has_an_interval_above_zero(write, asked):
    write('{window: w, days: daily, from: "01:30", to: "03:30"}', "America/New_York")
    interval = MaintenanceWindowTimetable("eu").infer_manual_data_interval(run_after=moment(asked))
    assert interval.end > interval.start


def test_a_calendar_that_is_not_there_has_no_run(write, clock):
    clock("2026-11-22T09:00Z")
    assert next_run() is None


def test_what_is_stored_of_it_does_not_change_with_the_calendar(write):
    timetable = MaintenanceWindowTimetable("eu", app="shop", tags=["b", "a"])
    stored = timetable.serialize()
    write(SATURDAYS)
    assert MaintenanceWindowTimetable.deserialize(stored).serialize() == stored == timetable.serialize()
    assert MaintenanceWindowTimetable in ReleasePipelinesPlugin.timetables


def test_a_sensor_waits_without_a_limit_of_days_and_looks_again_when_it_wakes(write, clock):
    write(SATURDAYS)
    clock("2026-11-22T09:00Z")
    sensor = ReleaseWindowSensor(task_id="wait", calendars=["eu"])
    with pytest.raises(TaskDeferred) as wait:
        sensor.execute({})
    assert wait.value.timeout is None
    clock("2026-11-28T20:59:59.999")
    with pytest.raises(TaskDeferred):
        sensor.look({}, {"open": True})
    clock("2026-11-28T21:00:00")
    assert sensor.look({}, {})["open"]


def test_the_trigger_fires_when_it_is_open(write, clock):
    write(SATURDAYS)
    clock("2026-11-28T22:00Z")
    path, arguments = ReleaseWindowTrigger(["eu"]).serialize()
    assert path == "release_pipelines.features.calendars.triggers.ReleaseWindowTrigger"

    async def first() -> dict:
        async for event in ReleaseWindowTrigger(**arguments).run():
            return event.payload

    assert asyncio.run(first())["entry"] == "w"


def test_a_branch_follows_the_calendar(write, clock):
    write(SATURDAYS)
    branch = WindowBranchOperator(task_id="branch", calendars=["eu"], if_open="go", if_closed="stay")
    clock("2026-11-28T22:00Z")
    assert branch.choose_branch({}) == "go"
    clock("2026-11-29T02:00Z")
    assert branch.choose_branch({}) == "stay"
