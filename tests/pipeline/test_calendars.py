"""The DAG that fetches calendars, in Airflow; and a timetable and a sensor's trigger that then know what it fetched."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path

import pytest
from airflow.timetables.base import TimeRestriction

from release_pipelines.airflow import copies
from release_pipelines.airflow.timetable import MaintenanceWindowTimetable
from release_pipelines.features.calendars.dag import calendars_dag
from release_pipelines.triggers import ReleaseWindowTrigger
from tests.adapters.calendars.texts import event, ics
from tests.calendar_server import CalendarServer, calendar_server

__all__ = ["calendar_server"]

pytestmark = pytest.mark.usefixtures("_database")
NIGHT = datetime(2126, 11, 28, 22, tzinfo=timezone.utc)
TEXT = ics(
    event("DTSTART:21261128T220000Z", "DTEND:21261129T020000Z", summary="night"),
    event("DTSTART:20200101T000000Z", "DTEND:21000101T000000Z", summary="this century", uid="2"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calendar_server: CalendarServer) -> Path:
    (tmp_path / "ops.yaml").write_text(f"ics: {calendar_server.url}/ops.ics\nevents: windows\n")
    (tmp_path / "web.yaml").write_text(f"ics: {calendar_server.url}/web.ics\n")
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(copies, "_COPIES", copies.Copies())
    calendar_server.answer = (200, {}, TEXT.encode())
    return tmp_path


def test_what_the_dag_fetched_is_known_to_the_timetable_and_to_triggers(
    folder: Path, calendar_server: CalendarServer
) -> None:
    dag = calendars_dag(folder)
    assert dag is not None
    run = dag.test()
    assert run.state == "success"
    assert run.get_task_instance("ops").xcom_pull(task_ids="ops") == {"events": 2, "changed": True}
    assert sorted(path for path, _ in calendar_server.asked) == ["/ops.ics", "/web.ics"]

    async def woken() -> dict:
        async for it in ReleaseWindowTrigger(["ops"]).run():
            return it.payload
        raise AssertionError("it says nothing")

    assert asyncio.run(woken())["entry"] == "this century"
    earliest = TimeRestriction(
        earliest=_pendulum(datetime(2110, 1, 1, tzinfo=timezone.utc)), latest=None, catchup=False
    )
    found = MaintenanceWindowTimetable("ops").next_dagrun_info_v2(last_dagrun_info=None, restriction=earliest)
    assert found is not None
    assert found.run_after == NIGHT


def test_one_that_cannot_be_fetched_fails_alone_and_says_why(folder: Path, calendar_server: CalendarServer) -> None:
    (folder / "web.yaml").write_text("connection: nobody_made_it\n")
    dag = calendars_dag(folder)
    assert dag is not None
    run = dag.test()
    assert run.get_task_instance("ops").state == "success"
    web = run.get_task_instance("web")
    assert web.state == "failed"
    assert "nobody_made_it" in web.xcom_pull(task_ids="web", key="reason")


def _pendulum(at: datetime):
    import pendulum

    return pendulum.instance(at)
