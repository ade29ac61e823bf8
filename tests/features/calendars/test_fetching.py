"""A calendar that is kept elsewhere: fetched by a task, kept in the history, and asked from there by everybody."""

from __future__ import annotations

import json
import logging
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow import copies
from release_pipelines.airflow.calendars import standing_now
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.features.calendars.dag import calendars_dag
from release_pipelines.features.calendars.operators import FetchCalendarOperator
from release_pipelines.features.window.feature import FEATURE as WINDOW
from release_pipelines.spec.release import load_release
from tests.adapters.calendars.texts import event, ics
from tests.calendar_server import CalendarServer, calendar_server
from tests.features.helpers import Ti

__all__ = ["calendar_server"]

HOUR = 3600.0
FREEZE = ("DTSTART:20261127T100000Z", "DTEND:20261127T140000Z")
TEXT = ics(event(*FREEZE, summary="audit"))


def at(text: str) -> float:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc).timestamp()


class Clock:
    now = at("2026-11-27T12:00Z")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    it = Clock()
    monkeypatch.setattr("time.time", lambda: it.now)
    return it


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The calendars' folder of an Airflow whose processes look at the history each time."""
    folder = tmp_path / "calendars"
    folder.mkdir()
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(folder))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(copies, "_COPIES", copies.Copies())
    monkeypatch.setattr(copies, "LOOK_SECONDS", -1.0)
    monkeypatch.setattr(copies, "PATIENCE_SECONDS", 60.0)
    return folder


@pytest.fixture
def server(calendar_server: CalendarServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> CalendarServer:
    """The calendar `ops`, whose address and password stand in a connection."""
    (folder / "ops.yaml").write_text("connection: ops_calendar\n")
    connection = {
        "conn_type": "http",
        "host": f"{calendar_server.url}/private-7f3a/basic.ics",
        "login": "ops@example.org",
        "password": "pear-tree-7",
    }
    monkeypatch.setenv("AIRFLOW_CONN_OPS_CALENDAR", json.dumps(connection))
    calendar_server.answer = (200, {}, TEXT.encode())
    return calendar_server


def fetch(folder: Path, name: str = "ops") -> dict[str, Any]:
    context: Any = {"ti": Ti()}
    return FetchCalendarOperator(task_id=name, calendar=name, folder=folder).execute(context)


def refused(folder: Path, name: str = "ops") -> str:
    with pytest.raises(AirflowFailException) as error:
        fetch(folder, name)
    return str(error.value)


def said(name: str = "ops", when: str | None = None) -> str:
    return standing_now([name], at=at(when) if when else None).sentence


def test_before_it_is_fetched_it_is_closed_and_then_it_is_what_it_says(folder: Path, server: CalendarServer):
    assert "has not been fetched yet: the DAG release_calendars does that every 5 minutes" in said()
    assert fetch(folder) == {"events": 1, "changed": True}
    assert said() == 'closed: freeze "audit" of calendar ops until Fri 27 Nov 2026 14:00 UTC'
    assert standing_now(["ops"], at=at("2026-11-27T14:00Z")).open
    headers = server.asked[0][1]
    assert headers["authorization"] == "Basic b3BzQGV4YW1wbGUub3JnOnBlYXItdHJlZS03"


def test_an_answer_that_nothing_has_changed_makes_the_copy_fresh(folder: Path, server: CalendarServer, clock: Clock):
    server.answer = (200, {"ETag": '"7"'}, TEXT.encode())
    fetch(folder)
    clock.now += 23 * HOUR
    server.answer = (304, {}, b"")
    assert fetch(folder) == {"events": 1, "changed": False}
    assert server.asked[1][1]["if-none-match"] == '"7"'
    clock.now += 23 * HOUR
    assert standing_now(["ops"]).open


BAD = {
    "status 503": (503, {}, b""),
    "status 401": (401, {}, b""),
    "status 404": (404, {}, b""),
    "BEGIN:VCALENDAR is expected": (200, {}, b"<!DOCTYPE html><form>Sign in</form>"),
    "END:VCALENDAR is expected": (200, {}, TEXT.encode()[: -len("END:VCALENDAR\r\n")]),
    "more than": (200, {}, TEXT.encode() + b"X" * 4_100_000),
    "not to the end": (200, {"Content-Length": "100000"}, TEXT.encode()),
}


@pytest.mark.parametrize("words", BAD)
def test_the_last_good_copy_counts_until_its_age_limit_and_then_it_is_closed(
    folder: Path, server: CalendarServer, clock: Clock, words: str
):
    fetch(folder)
    server.answer = BAD[words]
    clock.now = at("2026-11-27T14:00Z")
    assert words in refused(folder)
    clock.now = at("2026-11-27T15:00Z")
    assert words in refused(folder)
    now = standing_now(["ops"])
    assert now.open
    assert "fetching it has failed since Fri 27 Nov 2026 14:00 UTC: " in now.sentence
    assert "the copy of Fri 27 Nov 2026 12:00 UTC counts until Sat 28 Nov 2026 12:00 UTC" in now.sentence
    clock.now = at("2026-11-28T12:00Z")
    assert standing_now(["ops"]).open
    clock.now += 1
    assert "older than 24 h (`max_age`); fetching it has failed since" in said()
    assert not standing_now(["ops"]).open
    server.answer = (200, {}, TEXT.encode())
    fetch(folder)
    assert said() == "open: no freeze of calendar ops"


def test_preflight_tells_what_is_wrong_with_a_calendar_that_still_counts(
    folder: Path, server: CalendarServer, clock: Clock, tmp_path: Path
):
    (tmp_path / "shop.yaml").write_text("name: shop\nenvironments: [production]\ncalendars: [ops]\n")
    (tmp_path / "production.yaml").write_text(
        "name: production\nplatform: container_host\n"
        "connections: {platform: platform, engine: platform, registry: registry, prometheus: prometheus}\n"
        "address: {url: 'http://127.0.0.1:1'}\napprovers: [bob]\n"
    )
    spec = load_release(tmp_path / "shop.yaml", tmp_path, tmp_path)
    fetch(folder)
    clock.now = at("2026-11-27T14:00Z")
    assert list(WINDOW.remarks(spec)) == []
    server.answer = (503, {}, b"")
    refused(folder)
    [remark] = WINDOW.remarks(spec)
    assert remark.startswith("calendar ops: fetching it has failed since Fri 27 Nov 2026 14:00 UTC: ")
    clock.now = at("2026-11-28T15:00Z")
    [remark] = WINDOW.remarks(spec)
    assert "older than 24 h (`max_age`)" in remark


def test_a_dag_that_stands_still_is_told_when_its_copy_is_too_old(folder: Path, server: CalendarServer, clock: Clock):
    (folder / "ops.yaml").write_text("connection: ops_calendar\nmax_age: 1h\n")
    fetch(folder)
    clock.now += HOUR + 1
    assert "the DAG release_calendars has not looked since: is it paused?" in said()


def test_what_never_came_is_closed_with_its_reason(folder: Path, server: CalendarServer):
    server.answer = (404, {}, b"")
    refused(folder)
    assert "it was never fetched: fetching it has failed since" in said()
    assert "status 404" in said()


def test_one_broken_entry_closes_it_at_once_for_it_may_be_the_freeze(folder: Path, server: CalendarServer):
    fetch(folder)
    good = [event("DTSTART:20261224T100000Z", "DURATION:PT1H", uid=str(n)) for n in range(49)]
    broken = event("DTSTART;TZID=Nowhere:20261224T100000", "DURATION:PT1H", uid="50", summary="the freeze")
    server.answer = (200, {}, ics(*good, broken).encode())
    assert "counts as closed" in refused(folder)
    assert not standing_now(["ops"], at=at("2026-11-27T15:00Z")).open
    assert '"the freeze" (20261224T100000): `Nowhere` is no time zone' in said()


def test_one_that_is_suddenly_empty_is_told(folder: Path, server: CalendarServer, clock: Clock):
    server.answer = (200, {}, ics(*(event(*FREEZE, uid=str(n)) for n in range(50))).encode())
    fetch(folder)
    server.answer = (200, {}, ics().encode())
    fetch(folder)
    told = "calendar ops: it has had no events since Fri 27 Nov 2026 12:00 UTC; before that it had 50"
    assert told in said()
    clock.now += HOUR
    fetch(folder)
    assert told in said()
    server.answer = (200, {}, TEXT.encode())
    fetch(folder)
    assert told not in said()


def test_a_calendar_of_windows_without_a_window_is_closed(folder: Path, server: CalendarServer):
    (folder / "ops.yaml").write_text("connection: ops_calendar\nevents: windows\n")
    fetch(folder)
    assert said().startswith('open: "audit" of calendar ops until Fri 27 Nov 2026 14:00 UTC')
    server.answer = (200, {}, ics().encode())
    fetch(folder)
    assert said().startswith("closed: outside of the windows of calendar ops")


def test_its_events_concern_whom_the_file_says(folder: Path, server: CalendarServer):
    (folder / "ops.yaml").write_text("connection: ops_calendar\napps: shop\nenvironments: [production]\n")
    fetch(folder)
    assert not standing_now(["ops"], "shop", "production").open
    assert standing_now(["ops"], "shop", "staging").open
    assert standing_now(["ops"], "cart", "production").open


def test_a_copy_of_another_source_is_none(folder: Path, server: CalendarServer):
    fetch(folder)
    (folder / "ops.yaml").write_text(f"ics: {server.url}/other.ics\n")
    assert "has not been fetched yet" in said()
    fetch(folder)
    assert "audit" in said()
    assert "if-none-match" not in server.asked[-1][1]


def test_what_one_server_said_of_its_state_is_not_told_to_another(
    folder: Path, server: CalendarServer, monkeypatch: pytest.MonkeyPatch
):
    server.answer = (200, {"ETag": '"7"'}, TEXT.encode())
    fetch(folder)
    moved = {"conn_type": "http", "host": f"{server.url}/moved.ics"}
    monkeypatch.setenv("AIRFLOW_CONN_OPS_CALENDAR", json.dumps(moved))
    fetch(folder)
    assert [path for path, _ in server.asked] == ["/private-7f3a/basic.ics", "/moved.ics"]
    assert "if-none-match" not in server.asked[1][1]


def test_the_password_and_the_address_path_are_in_no_log_error_or_row(
    folder: Path, server: CalendarServer, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.DEBUG):
        fetch(folder)
        server.answer = (500, {}, b"")
        sentence = refused(folder)
    [row] = HistoryHook().history().calendar_copies().values()
    for text in (caplog.text, sentence, said(), row.model_dump_json()):
        for secret in ("pear-tree-7", "private-7f3a", "cGVhci10cmVlLTc"):
            assert secret not in text


@pytest.mark.parametrize("form", ["json", "uri"])
def test_signs_in_an_address_and_a_login_are_sent_as_they_are_meant(
    folder: Path, server: CalendarServer, monkeypatch: pytest.MonkeyPatch, form: str
):
    path = "ical/team%40group.calendar.example/private-7f3a/basic.ics"
    login, place = "ops%40example.org:pear-tree-7", server.url.removeprefix("http://")
    parts = {"conn_type": "http", "host": f"{server.url}/{path}", "login": "ops@example.org", "password": "pear-tree-7"}
    written = json.dumps(parts) if form == "json" else f"http://{login}@{place}/{path}"
    monkeypatch.setenv("AIRFLOW_CONN_OPS_CALENDAR", written)
    fetch(folder)
    [(asked, headers)] = server.asked
    assert unquote(asked) == "/ical/team@group.calendar.example/private-7f3a/basic.ics"
    assert "%2540" not in asked
    assert headers["authorization"] == "Basic b3BzQGV4YW1wbGUub3JnOnBlYXItdHJlZS03"


def test_a_connection_that_is_not_there_is_told(folder: Path):
    (folder / "ops.yaml").write_text("connection: nobody_made_it\n")
    assert "nobody_made_it" in refused(folder)
    assert "it was never fetched: fetching it has failed since Fri 27 Nov 2026 12:00 UTC" in said()


def test_a_history_that_does_not_answer_leaves_what_this_process_knows(
    folder: Path, server: CalendarServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    fetch(folder)
    assert not standing_now(["ops"]).open
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", "postgresql://nobody@127.0.0.1:9/none")
    assert 'freeze "audit"' in said()
    clock.now += 25 * HOUR
    assert "older than 24 h (`max_age`)" in said()
    monkeypatch.setattr(copies, "_COPIES", copies.Copies())
    assert "the release history, which keeps its last good copy, does not answer" in said()


def test_another_history_that_knows_nothing_takes_nothing_away(
    folder: Path, server: CalendarServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fetch(folder)
    assert 'freeze "audit"' in said()
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "elsewhere"))
    assert 'freeze "audit"' in said()


def test_a_history_that_hangs_stops_nobody(folder: Path, server: CalendarServer, monkeypatch: pytest.MonkeyPatch):
    fetch(folder)
    said()
    hanging, begun, asked = threading.Event(), threading.Event(), []

    def history(self: HistoryHook) -> Any:
        asked.append(1)
        begun.set()
        hanging.wait()
        raise ConnectionError("gone")

    monkeypatch.setattr(HistoryHook, "history", history)
    monkeypatch.setattr(copies, "PATIENCE_SECONDS", 0.05)
    try:
        assert [said() for _ in range(3)] == [
            'closed: freeze "audit" of calendar ops until Fri 27 Nov 2026 14:00 UTC'
        ] * 3
        assert begun.wait(60)
        assert len(asked) == 1
    finally:
        hanging.set()


async def test_in_an_event_loop_nobody_waits_for_the_history(
    folder: Path, server: CalendarServer, monkeypatch: pytest.MonkeyPatch
):
    hanging = threading.Event()
    monkeypatch.setattr(HistoryHook, "history", lambda self: hanging.wait() and None)
    try:
        assert "does not answer" in said()
    finally:
        hanging.set()


def test_texts_that_have_not_changed_are_read_from_the_history_once(folder: Path, server: CalendarServer):
    fetch(folder)
    history = HistoryHook().history()
    known = history.calendar_copies()
    fetch(folder)
    again = history.calendar_copies(known)
    assert again["ops"].content is known["ops"].content
    server.answer = (200, {}, ics().encode())
    fetch(folder)
    assert history.calendar_copies(again)["ops"].content == ics().replace("\r\n", "\n")


def test_a_change_of_a_file_beside_the_calendar_counts_at_once(folder: Path):
    (folder / "ops.yaml").write_text("ics: ops.ics\n")
    (folder / "ops.ics").write_text(TEXT)
    assert 'freeze "audit"' in said()
    (folder / "ops.ics").write_text(ics(event(*FREEZE, summary="another audit")))
    assert 'freeze "another audit"' in said()
    (folder / "ops.ics").unlink()
    assert "ops.yaml: ics: found `ops.ics`, which is no file" in said()


def test_an_answer_that_differs_in_when_it_was_made_is_the_same_state(folder: Path, server: CalendarServer):
    for second, changed in ((1, True), (2, False)):
        made = event(f"DTSTAMP:2026112712000{second}Z", *FREEZE)
        server.answer = (200, {"ETag": f'"{second}"'}, ics(made).encode())
        assert fetch(folder)["changed"] is changed
    server.answer = (304, {}, b"")
    fetch(folder)
    assert server.asked[-1][1]["if-none-match"] == '"2"'
    server.answer = (200, {}, ics(event("DTSTAMP:20261127120003Z", "SEQUENCE:1", *FREEZE)).encode())
    assert fetch(folder)["changed"]


# --- AWS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def aws(calendar_server: CalendarServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> CalendarServer:
    """What boto3 takes for AWS Systems Manager."""
    extra = {"region_name": "eu-central-1", "endpoint_url": calendar_server.url}
    connection = {"conn_type": "aws", "login": "key", "password": "pear-tree-7", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_OPS", json.dumps(connection))
    (folder / "ops.yaml").write_text("aws: {document: arn:aws:ssm:eu-central-1:1:document/ops, connection: aws_ops}\n")
    return calendar_server


def document(*parts: str, kind: str = "DEFAULT_OPEN") -> tuple[int, dict[str, str], bytes]:
    answer = {
        "Name": "ops",
        "DocumentType": "ChangeCalendar",
        "DocumentFormat": "TEXT",
        "Content": ics(f"X-CALENDAR-TYPE:{kind}", *parts),
    }
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode()


def test_an_aws_change_calendar_says_itself_whether_it_has_freezes_or_windows(folder: Path, aws: CalendarServer):
    aws.answer = document(event(*FREEZE, summary="audit"))
    fetch(folder)
    assert aws.asked[0][1]["x-amz-target"] == "AmazonSSM.GetDocument"
    assert 'closed: freeze "audit"' in said()
    aws.answer = document(event(*FREEZE, summary="audit"), kind="DEFAULT_CLOSED")
    fetch(folder)
    assert 'open: "audit"' in said()
    assert not standing_now(["ops"], at=at("2026-11-27T14:00Z")).open
    aws.answer = document("BEGIN:VTODO\nSUMMARY:Add events to this calendar.\nEND:VTODO", kind="DEFAULT_CLOSED")
    fetch(folder)
    assert said().startswith("closed: outside of the windows")


def test_an_aws_calendar_of_no_known_type_is_closed(folder: Path, aws: CalendarServer):
    aws.answer = document(event(*FREEZE), kind="DEFAULT-OPEN")
    assert "X-CALENDAR-TYPE: DEFAULT_OPEN or DEFAULT_CLOSED is expected, found `DEFAULT-OPEN`" in refused(folder)
    assert not standing_now(["ops"], at=at("2026-11-27T15:00Z")).open


def test_what_aws_refuses_leaves_the_last_good_copy(folder: Path, aws: CalendarServer):
    aws.answer = document(event(*FREEZE))
    fetch(folder)
    no = {"__type": "InvalidDocument", "message": "Document with name ops does not exist."}
    aws.answer = (400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(no).encode())
    assert "InvalidDocument, Document with name ops does not exist" in refused(folder)
    assert "the copy of Fri 27 Nov 2026 12:00 UTC counts until" in said()


# --- the DAG -----------------------------------------------------------------------------------------------------------


def test_the_dag_has_a_task_for_each_calendar_that_is_kept_elsewhere(folder: Path):
    (folder / "own.yaml").write_text("entries: []\n")
    (folder / "file.yaml").write_text("ics: file.ics\n")
    assert calendars_dag(folder) is None
    (folder / "broken.yaml").write_text("ics: [\n")
    (folder / "ops.yaml").write_text("connection: ops_calendar\n")
    (folder / "web.yaml").write_text("ics: https://calendar.example/a.ics\n")
    dag = calendars_dag(folder)
    assert dag is not None
    assert dag.task_ids == ["ops", "web"]
    assert dag.max_active_runs == 1
    assert not dag.catchup
