"""Copies of calendars in the history, in both kinds of databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from release_pipelines.adapters.history import History, open_history
from release_pipelines.adapters.history.connect import VERSION_TABLE


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/history.db"
    return request.getfixturevalue("postgres")


@pytest.fixture
def kept(address: str) -> History:
    it = open_history(address).at(1000.0)
    it.keep_calendar("ops", "here", "BEGIN:VCALENDAR\nSUMMARY:Änderung\x00\n", '{"etag": "7"}', "odd")
    return it


def test_a_copy_is_kept_with_when_and_from_where_and_replaced(kept: History):
    [copy] = kept.calendar_copies().values()
    assert (copy.name, copy.source, copy.validators, copy.remark) == ("ops", "here", '{"etag": "7"}', "odd")
    assert copy.content == "BEGIN:VCALENDAR\nSUMMARY:Änderung\n"
    assert (copy.fetched_at, copy.checked_at, copy.failed_at, copy.mistake) == (1000.0, 1000.0, None, None)
    kept.at(2000.0).keep_calendar("ops", "there", "new", None, None)
    [copy] = kept.calendar_copies().values()
    assert (copy.source, copy.content, copy.fetched_at, copy.remark) == ("there", "new", 2000.0, None)


def test_failures_keep_the_copy_and_the_time_of_the_first_and_end_with_a_good_look(kept: History):
    for at, why in ((2000.0, "status 503"), (3000.0, "status 404")):
        kept.at(at).calendar_not_fetched("ops", "here", kept.calendar_copies()["ops"], why)
    copy = kept.calendar_copies()["ops"]
    assert copy.content is not None
    assert (copy.checked_at, copy.failed_at, copy.mistake) == (1000.0, 2000.0, "status 404")
    kept.at(4000.0).calendar_is_unchanged(copy)
    copy = kept.calendar_copies()["ops"]
    assert (copy.fetched_at, copy.checked_at, copy.failed_at, copy.mistake) == (1000.0, 4000.0, None, None)


def test_what_never_came_is_kept_with_its_reason(kept: History):
    kept.calendar_not_fetched("web", "there", None, "status 401")
    copy = kept.calendar_copies()["web"]
    assert (copy.content, copy.checked_at, copy.failed_at, copy.mistake) == (None, None, 1000.0, "status 401")


def test_a_history_of_before_gets_the_table_and_keeps_what_it_has(address: str):
    history = open_history(address)
    history.begin("release_shop/1#0", "shop", "release_shop", "1", "1.0.0", "alice")
    with history._read(writes=True) as connection:
        later = (
            "release_audit",
            "release_audit_texts",
            "release_audit_head",
            "release_observations",
            "release_remarks",
        )
        for table in ("calendar_copies", *later):
            connection.execute(text(f"DROP TABLE {table}"))
        for index in ("ix_release_events_reached", "ix_releases_app_ended_at"):
            connection.execute(text(f"DROP INDEX {index}"))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0005'"))
    again = open_history(address)
    assert again.calendar_copies() == {}
    assert again.find("release_shop/1#0").version == "1.0.0"
