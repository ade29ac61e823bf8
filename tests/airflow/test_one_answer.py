"""Whoever asks a calendar gets one answer: the command, the sensor, the timetable, preflight, the approval and the task before an environment."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pendulum
import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.timetables.base import TimeRestriction
from typer.testing import CliRunner

from release_pipelines.airflow import windows
from release_pipelines.airflow.calendars import standing_now
from release_pipelines.airflow.timetable import MaintenanceWindowTimetable
from release_pipelines.cli import app
from release_pipelines.core.model.window import WindowRule
from release_pipelines.operators import WindowBranchOperator
from release_pipelines.sensors import ReleaseWindowSensor

WEEK = """
time_zone: Europe/Berlin
entries:
- {window: week, days: mon-thu, from: "09:00", to: "17:00"}
- {window: friday, days: fri, from: "09:00", to: "14:00", environments: production}
- {window: night, days: sat, from: "22:00", to: "06:00", apps: shop}
- {freeze: lunch, reason: hungry, days: daily, from: "13:02", for: 1h}
"""
MOMENTS = [
    "2026-03-28T20:59:59",
    "2026-03-28T21:00",
    "2026-03-29T00:59",
    "2026-03-29T03:59:59",
    "2026-03-29T04:00",
    "2026-10-25T00:30",
    "2026-10-25T04:59",
    "2026-11-26T12:01",
    "2026-11-26T12:02",
    "2026-11-26T13:02",
    "2026-11-27T12:02",
    "2026-11-27T14:30",
    "2026-12-31T23:00",
]
ALWAYS = TimeRestriction(earliest=None, latest=None, catchup=False)


@pytest.mark.parametrize("moment", MOMENTS)
def test_all_who_ask_agree(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=timezone.utc).timestamp()
    (tmp_path / "eu.yaml").write_text(WEEK)
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.time", lambda: at)
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/none.db")
    right = standing_now(["eu"], "shop", "production")
    told = json.loads(CliRunner().invoke(app, ["calendar", "shop", "production", "--json"]).stdout)["calendars"][0]

    def stamp(text: str | None) -> float | None:
        return datetime.fromisoformat(text).timestamp() if text else None

    assert (told["open"], told["sentence"]) == (right.open, right.sentence)
    assert (stamp(told["opens_at"]), stamp(told["closes_at"])) == (right.opens_at, right.closes_at)

    rule = WindowRule(calendars=["eu"], app="shop", environment="production", time_zone="Europe/Berlin")
    assert (windows.obstacle_now(rule) is None) == right.open
    assert right.sentence in windows.window_in_words(rule, [], at)
    assert windows.may_begin(rule, windows.standing_at(rule, at), at) == right.open

    given = {"calendars": ["eu"], "app": "shop", "environment": "production"}
    branch = WindowBranchOperator(task_id="b", if_open="open", if_closed="closed", **given)
    assert (branch.choose_branch({}) == "open") == right.open
    sensor = ReleaseWindowSensor(task_id="s", **given)
    if right.open:
        assert sensor.look({}, {})["sentence"] == right.sentence
    else:
        with pytest.raises(TaskDeferred):
            sensor.execute({})

    timetable = MaintenanceWindowTimetable("eu", app="shop", environment="production")
    interval = timetable.infer_manual_data_interval(run_after=pendulum.from_timestamp(at))
    following = timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=ALWAYS)
    if right.open:
        assert interval.start.timestamp() <= at < interval.end.timestamp()
        assert right.closes_at is not None
        assert interval.end.timestamp() >= right.closes_at  # a freeze in the middle makes no second run
    elif interval.start.timestamp() > at:
        assert following is not None
        assert following.run_after.timestamp() == right.opens_at == interval.start.timestamp()
