"""The audit trail: written with what it tells of, by many at once, and whole however it is thinned out or forgotten."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from release_pipelines.adapters.history import History, open_history
from release_pipelines.core.audit.row import FIRST, Row
from release_pipelines.core.audit.verifying import Head, verified
from tests.databases import new_database, postgres_server  # noqa: F401

RELEASE = "release_shop/r1#0"


def begin(history: History, requester: str = "alice") -> None:
    history.begin(RELEASE, "shop", "release_shop", "r1", "1.0.0", requester)


def told(history: History) -> list[tuple[str, str, str | None]]:
    return [
        (row.action, row.phase, row.texts["actor"].value if "actor" in row.texts else None)
        for row in history.audit_rows()
    ]


def test_what_people_do_is_told_before_and_after_its_effect(history: History) -> None:
    begin(history)
    begin(history)
    command = history.command(RELEASE, "pause", "bob", "lunch")
    history.command(RELEASE, "pause", "bob", "lunch")
    history.answer(command.id, "It waits at 10 %.")
    history.record_approval(RELEASE, f"sha256:{'a' * 64}", "approved", "carol")
    assert told(history) == [
        ("release", "asked", "alice"),
        ("pause", "asked", "bob"),
        ("pause", "done", "bob"),
        ("approve", "done", "carol"),
    ]
    assert {row.app for row in history.audit_rows()} == {"shop"}
    assert verified(history.audit_rows(), [history.audit_head()]).whole


def test_what_could_not_be_written_when_it_happened_is_marked_as_late(history: History) -> None:
    begin(history)
    history.at(1000.0).command(RELEASE, "abort", "bob")
    [row] = history.audit_rows(until=1001.0)
    assert (row.action, row.phase, row.at) == ("abort", "late", 1_000_000_000)


def test_a_row_is_there_with_what_it_tells_of_or_not_at_all(history: History) -> None:
    begin(history)
    with pytest.raises(ValueError, match="one of"):
        history.record_approval(RELEASE, "", "perhaps", "bob")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="knows no release"):
        history.command("release_shop/r2#0", "abort", "bob")
    assert len(history.audit_rows()) == 1


def write(url: str, rows: int, behind: float) -> None:
    history = open_history(url)
    if behind:
        now = history._now
        history._now = lambda: now() - behind

    def add(thread: int) -> None:
        for number in range(rows):
            history.audit("skip", "done", texts={"actor": f"person {thread}"}, data={"n": str(number)})

    threads = [threading.Thread(target=add, args=(it,)) for it in range(8)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()


def written_by_many(url: str) -> History:
    history = open_history(url)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write, args=(url, 50, behind)) for behind in (0.0, 5.0)]
    for it in processes:
        it.start()
    for it in processes:
        it.join()
        assert it.exitcode == 0
    return history


@pytest.fixture
def postgres(postgres_server: str) -> str:  # noqa: F811
    return new_database(postgres_server)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_many_who_write_at_once_make_one_chain(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = request.getfixturevalue("postgres") if database == "postgres" else f"sqlite:///{tmp_path}/many.db"
    history = written_by_many(url)
    rows = history.audit_rows()
    assert len(rows) == 800
    assert len({row.previous for row in rows}) == 800
    assert [row.number for row in rows if row.previous == FIRST] == [1]
    assert verified(rows, [history.audit_head()]).breaks == []

    def sql(*statements: str) -> list[str]:
        engine = create_engine(url)
        with engine.begin() as connection:
            for it in statements:
                connection.execute(text(it))
        engine.dispose()
        return verified(history.audit_rows(), [Head(head.hash, head.count)]).breaks

    head = history.audit_head()
    salted = "UPDATE release_audit_texts SET value = 'mallory' WHERE number = 700"
    assert sql(salted) == ["row 700 was changed"]
    assert sql("DELETE FROM release_audit WHERE number = 401") == ["a row is missing after 400", "row 700 was changed"]
    exchange = [
        f"UPDATE release_audit SET number = {new} WHERE number = {old}"
        for old, new in ((502, 9999), (503, 502), (9999, 503))
    ]
    exchange += [
        f"UPDATE release_audit_texts SET number = {new} WHERE number = {old}"
        for old, new in ((502, 9999), (503, 502), (9999, 503))
    ]
    assert "rows 502 and 503 were exchanged" in sql(*exchange)
    cut = sql("DELETE FROM release_audit WHERE number > 798")
    assert cut[-1].startswith("797 rows, the head of elsewhere says 800")


def test_a_retention_and_a_forgotten_person_leave_a_whole_trail(history: History) -> None:
    begin(history, "bob")
    for day in range(10):
        history.at(day * 86400.0).audit(
            "pause", "done", texts={"actor": "bob", "reason": "as Bob said", "about": "bobby"}
        )
    rows = history.audit_rows()
    assert history.audit_forget(["bob"], "carol") == 11
    left = [text.value for row in history.audit_rows() for text in row.texts.values() if text.value]
    assert set(left) == {"bobby", "carol"}
    assert verified(history.audit_rows(), [history.audit_head(), Head(rows[-1].hash, len(rows))]).whole


def test_old_rows_go_and_the_trail_says_so(history: History) -> None:
    for day in range(10):
        history._now = lambda day=day: day * 86400.0  # type: ignore[misc]
        history.audit("pause", "done", texts={"actor": "bob"})
    assert history.audit_prune(4.5, "carol") == 5
    found = verified(history.audit_rows(), [history.audit_head()])
    assert (found.whole, found.rows) == (True, 6)
    assert found.remarks == ["rows before 6 were removed by a retention of 4.5 days, as row 11 says"]
    assert history.audit_prune(4.5, "carol") == 0
    history._now = lambda: 12 * 86400.0  # type: ignore[misc]
    assert history.audit_prune(4.5, "carol") == 3
    again = verified(*trail_of(history))
    assert (again.whole, again.rows) == (True, 4), again.breaks
    [removed] = [row.data["removed"] for row in history.audit_rows() if row.data.get("up_to") == "8"]
    assert removed == "8"


def trail_of(history: History) -> tuple[list[Row], list[Head]]:
    rows, head = history.audit_trail()
    return rows, [head] if head else []


@pytest.mark.parametrize(
    "damage", ["DELETE FROM release_audit_head", "UPDATE release_audit_head SET number = 0, count = 0"]
)
def test_nothing_that_is_wrong_with_the_head_stops_a_command(history: History, damage: str) -> None:
    begin(history)
    history.audit("pause", "done")
    with history._write() as connection:
        connection.execute(text(damage))
    history.command(RELEASE, "abort", "bob")
    history.command(RELEASE, "pause", "bob")
    assert [row.action for row in history.audit_rows()] == ["release", "pause", "head_missing", "abort", "pause"]
    assert [row.number for row in history.audit_rows()] == [1, 2, 3, 4, 5]
    assert verified(*trail_of(history)).breaks == [
        "the head was missing or did not fit when row 3 was written: rows may have been cut off before it"
    ]
