"""Remarks and the audit trail as people look through it, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from release_pipelines.adapters.history import History, UnknownRelease, open_history
from release_pipelines.adapters.history.trail import Wanted
from release_pipelines.core.audit.verifying import Head, verified
from tests.databases import new_database, postgres_server  # noqa: F401

RELEASE = "release_shop/r1"


@pytest.fixture(params=["sqlite", "postgres"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/history.db"
    else:
        url = new_database(request.getfixturevalue("postgres_server"))
    opened = open_history(url)
    opened.begin(RELEASE, "shop", "release_shop", "r1", "1.0.0", "alice")
    return opened


def test_a_remark_stays_as_it_was_written_and_belongs_to_its_release(history: History) -> None:
    added = history.remark(RELEASE, "expected", " Fewer errors. ", "alice", "203.0.113.7")
    assert history.remark(RELEASE, "expected", "Fewer errors.", "alice") == added
    assert history.release(RELEASE).remarks == history.remarks(RELEASE) == [added]
    assert (added.text, added.by, added.about) == ("Fewer errors.", "alice", "expected")
    assert history.audit_rows()[-1].texts["address"].value == "203.0.113.7"
    with pytest.raises(UnknownRelease):
        history.remark("release_shop/r2", "note", "x", "alice")
    history.finish(RELEASE, "released", "It serves.")
    history.prune(-1)
    assert history.remarks(RELEASE) == []


def test_only_who_wrote_a_remark_takes_it_back_once(history: History) -> None:
    added = history.remark(RELEASE, "note", "Mine.", "alice")
    assert not history.take_back(RELEASE, added.id, "bob")
    assert not history.take_back("release_shop/r2", added.id, "alice")
    assert history.take_back(RELEASE, added.id, "alice")
    assert not history.take_back(RELEASE, added.id, "alice")
    assert [it.action for it in history.audit_rows()] == ["release", "remark", "remark_taken_back"]


def test_a_person_who_is_named_in_remarks_alone_is_forgotten_and_the_trail_says_so(history: History) -> None:
    history.remark(RELEASE, "note", "Ask Bob Smith.", "alice")
    assert history.forget(["bob smith"], "carol") == (0, 1)
    assert history.remarks(RELEASE)[0].text == "(forgotten)"
    rows, head = history.audit_trail()
    assert (rows[-1].action, rows[-1].data) == ("erasure", {"rows": "", "remarks": "1"})
    assert verified(rows, [head] if head else []).breaks == []


def test_the_trail_is_read_by_page_and_as_a_whole(history: History) -> None:
    with history._write() as connection:
        for number in range(1200):
            app, texts = ("shop", "cart")[number % 2], {"actor": f"Person_{number}"}
            history._audit(connection, "skip", "done", app=app, texts=texts)
    with history.audit_reading(Wanted()) as (rows, head):
        read = list(rows)
    assert (read, head) == history.audit_trail()
    shop = Wanted(apps=frozenset({"shop"}), action="skip")
    newest = history.audit_page(shop, limit=10)
    assert [it.number for it in newest] == list(range(1200, 1180, -2))
    older = history.audit_page(shop, before=newest[-1].number, limit=10)
    assert [it.number for it in older] == list(range(1180, 1160, -2))
    assert [it.texts["actor"].value for it in history.audit_page(Wanted(person="person_119"), limit=3)] == [
        "Person_1199",
        "Person_1198",
        "Person_1197",
    ]
    assert history.audit_page(Wanted(person="Person%1")) == []
    assert history.audit_actions() == ["skip"], "of the newest rows"
    assert history.audit_actions(frozenset({"cart"})) == ["skip"]
    assert history.dags_of_apps() == {"shop": {"release_shop"}}


def damaged(history: History, *statements: str) -> list[str]:
    _, head = history.audit_trail()
    assert head is not None
    with history._write() as connection:
        for it in statements:
            connection.execute(text(it))
    left, _ = history.audit_trail()
    return verified(left, [Head(head.hash, head.count, "12:00")]).breaks


BOTH = ("release_audit", "release_audit_texts")


@pytest.mark.parametrize(
    ("statements", "places"),
    [
        (["UPDATE release_audit_texts SET value = 'x' WHERE number = 40 AND name = 'reason'"], ["row 40 was changed"]),
        (["DELETE FROM release_audit WHERE number = 41"], ["a row is missing after 40"]),
        (
            [
                f"UPDATE {table} SET number = {new} WHERE number = {old}"
                for table in BOTH
                for old, new in ((42, 9999), (43, 42), (9999, 43))
            ],
            ["rows 42 and 43 were exchanged"],
        ),
        (
            ["DELETE FROM release_audit WHERE number > 98"],
            ["98 rows, the head of 12:00 says 100: its end was cut off, or written anew"],
        ),
        (
            ["DELETE FROM release_audit"],
            ["0 rows, the head of 12:00 says 100: its end was cut off, or written anew"],
        ),
    ],
    ids=["changed", "removed", "exchanged", "cut off", "all removed"],
)
def test_only_the_place_of_a_damage_is_told(history: History, statements: list[str], places: list[str]) -> None:
    with history._write() as connection:
        for number in range(99):
            history._audit(connection, "skip", "done", app="shop", texts={"reason": f"because of {number}"})
    assert damaged(history, *statements) == places
