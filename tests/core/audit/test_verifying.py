"""A changed, removed, exchanged, inserted or cut off row of the audit trail is found, and named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.audit.row import FIRST, Row, Text
from release_pipelines.core.audit.verifying import (
    CONTINUES_FROM,
    ERASED,
    ERASURE,
    HEAD_MISSING,
    RETENTION,
    Head,
    verified,
    verified_part,
)


def trail(count: int, skipped: int | None = None) -> list[Row]:
    rows: list[Row] = []
    previous, number = FIRST, 0
    while len(rows) < count:
        number += 1
        if number == skipped:  # a number that a transaction took which was rolled back
            continue
        texts = {"actor": Text.of("bob"), "reason": Text.of(f"because of {number}")}
        row = Row(
            number, 1_000_000 * number, "abort", "done", f"release_shop/r{number}#0", "shop", "production", texts=texts
        )
        rows.append(row.after(previous))
        previous = rows[-1].hash
    return rows


def head_of(rows: list[Row]) -> Head:
    return Head(rows[-1].hash, len(rows), "12:00")


def grown(rows: list[Row], action: str, /, **data: str) -> list[Row]:
    row = Row(rows[-1].number + 1, rows[-1].at + 1, action, "done", data=data)
    return [*rows, row.after(rows[-1].hash)]


def test_a_whole_trail_is_whole_and_a_missing_number_is_no_break() -> None:
    rows = trail(800, skipped=17)
    found = verified(rows, [head_of(rows)])
    assert (found.whole, found.rows, found.breaks, found.remarks) == (True, 800, [], [])


def changed(rows: list[Row]) -> list[Row]:
    reason = replace(rows[399].texts["reason"], value="another")
    return [*rows[:399], replace(rows[399], texts={**rows[399].texts, "reason": reason}), *rows[400:]]


def other_action(rows: list[Row]) -> list[Row]:
    return [*rows[:399], replace(rows[399], action="pause"), *rows[400:]]


def removed(rows: list[Row]) -> list[Row]:
    return [*rows[:400], *rows[401:]]


def exchanged(rows: list[Row]) -> list[Row]:
    one, other = rows[401], rows[402]
    return [*rows[:401], replace(other, number=402), replace(one, number=403), *rows[403:]]


def inserted(rows: list[Row]) -> list[Row]:
    moved = [replace(row, number=row.number) for row in rows]
    return [*moved, replace(rows[403], number=1000)]


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (changed, "row 400 was changed"),
        (other_action, "row 400 was changed"),
        (removed, "a row is missing after 400"),
        (exchanged, "rows 402 and 403 were exchanged"),
        (inserted, "row 1000 was inserted: it is a copy of row 404"),
    ],
)
def test_only_the_place_of_a_damage_is_named(damage: object, place: str) -> None:
    rows = trail(800)
    assert verified(damage(rows), [head_of(rows)]).breaks == [place]  # type: ignore[operator]


@pytest.mark.parametrize("copied", [True, False])
def test_a_row_that_was_put_in_the_place_of_a_missing_number_is_named(copied: bool) -> None:
    rows = trail(800, skipped=405)
    put = replace(rows[403], number=405)
    if not copied:
        put = replace(rows[403], number=405, action="approved").after(rows[403].hash)
    place = (
        "row 405 was inserted: it is a copy of row 404"
        if copied
        else "row 406 does not follow row 405: it follows another one"
    )
    assert verified([*rows[:404], put, *rows[404:]], [head_of(rows)]).breaks == [place]


def test_one_break_hides_no_other() -> None:
    rows = trail(800)
    found = verified(removed(other_action(exchanged(rows))), [head_of(rows)])
    assert len(found.breaks) == 3, found.breaks
    assert found.breaks[0] == "row 400 was changed"


def test_a_row_that_was_written_anew_with_a_fresh_hash_is_found_by_the_next_one() -> None:
    rows = trail(100)
    rows[49] = replace(rows[49], action="pause").after(rows[49].previous)
    assert verified(rows, [head_of(rows)]).breaks == ["a row is missing after 50"]


@pytest.mark.parametrize("left", [98, 0], ids=["the last two", "all"])
def test_a_cut_end_is_found_by_a_head_that_was_kept_elsewhere(left: int) -> None:
    rows = trail(100)
    [said] = verified(rows[:left], [head_of(rows)]).breaks
    assert said.startswith(f"{left} rows, the head of 12:00 says 100")


def test_rows_that_were_all_written_anew_are_found_by_the_head() -> None:
    rows = trail(100)
    previous = rows[48].hash
    for index in range(49, 100):
        rows[index] = replace(rows[index], action="pause").after(previous)
        previous = rows[index].hash
    head = head_of(trail(100))
    assert verified(rows, [Head(head.hash, 100, "12:00")]).breaks
    assert verified(rows).breaks == [], "nobody can see it without the head"


def test_without_a_head_it_says_what_it_cannot_see() -> None:
    assert verified(trail(3)).remarks == ["no head that was kept elsewhere was given: a cut end cannot be seen"]


def test_a_retention_that_says_so_is_no_break() -> None:
    rows = grown(trail(100), RETENTION, continues_from="", rule="400 days")
    last = replace(rows[-1], data={CONTINUES_FROM: rows[29].hash, "rule": "400 days"}).after(rows[-2].hash)
    kept = [*rows[30:-1], last]
    found = verified(kept, [Head(last.hash, 101, "12:00")])
    assert found.whole, found.breaks
    assert found.remarks == ["rows before 31 were removed by 400 days, as row 101 says"]
    assert verified(rows[30:-1], [Head(rows[-2].hash, 100)]).breaks == [
        "rows are missing before 31, and no retention says so"
    ]


def test_a_person_who_was_forgotten_breaks_nothing_where_an_erasure_says_so() -> None:
    rows = trail(10)
    for index in (3, 6):
        texts = {name: text.forgotten() for name, text in rows[index].texts.items()}
        rows[index] = replace(rows[index], texts=texts)
    silent = verified(rows, [head_of(rows)])
    assert silent.breaks == [f"texts of row {it} are gone, and no erasure says so" for it in (4, 7)]
    told = grown(rows, ERASURE, **{ERASED: "4 7"})
    assert verified(told, [head_of(told)]).whole


@given(st.data())
def test_any_change_of_any_field_is_found(data: st.DataObject) -> None:
    rows = trail(12)
    index = data.draw(st.integers(0, 11))
    field = data.draw(st.sampled_from(["at", "action", "phase", "release", "app", "environment", "data", "texts"]))
    value = {"at": 1, "data": {"a": "b"}, "texts": {}}.get(field, "x")
    rows[index] = replace(rows[index], **{field: value})
    assert verified(rows, [head_of(rows)]).breaks == [f"row {index + 1} was changed"]


@pytest.mark.parametrize(
    ("hash_", "count", "said"),
    [
        ("a" * 64, 0, "100 rows, the head of elsewhere says 0: its end was cut off, or written anew"),
        ("a" * 64, 100, "100 rows, the head of elsewhere says 100: its end was cut off, or written anew"),
        (FIRST, 7, "the head of elsewhere says 7 where 0 rows had been written"),
        (None, 41, "the head of elsewhere says 41 where 50 rows had been written"),
        (None, 400, "the head of elsewhere says 400 where 50 rows had been written"),
        (None, 0, "the head of elsewhere says 0 where 50 rows had been written"),
    ],
)
def test_a_head_counts_only_with_its_hash_and_its_count(hash_: str | None, count: int, said: str) -> None:
    rows = trail(100)
    assert verified(rows, [Head(hash_ or rows[49].hash, count)]).breaks == [said]


def test_the_head_from_before_the_first_row_shows_no_cut_end_and_that_is_said() -> None:
    found = verified(trail(3), [Head(FIRST, 0)])
    assert found.whole
    assert "a cut end cannot be seen" in found.remarks[0]


@pytest.mark.parametrize("at", [0, 49, 98])
def test_no_row_follows_a_head_that_was_read_with_the_rows(at: int) -> None:
    rows = trail(100)
    early = Head(rows[at].hash, at + 1, "the database", last=True)
    assert verified(rows, [early]).breaks == [
        "the head of the database is not that of the last row, 100: one of them was changed"
    ]
    fits = Head(rows[-1].hash, 100, "the database", last=True)
    assert verified(rows, [fits]).whole
    assert "a row is missing after 400" in verified(removed(trail(800)), [early]).breaks


def retained(*, said: dict[str, str]) -> list[Row]:
    rows = grown(trail(100), RETENTION, **{CONTINUES_FROM: "", **said})
    last = replace(rows[-1], data={**said, CONTINUES_FROM: rows[29].hash}).after(rows[-2].hash)
    return [*rows[30:-1], last]


@pytest.mark.parametrize("said", [{"removed": "30"}, {"up_to": "30"}])
def test_rows_that_a_retention_removed_count(said: dict[str, str]) -> None:
    kept = retained(said=said)
    assert verified(kept, [Head(kept[-1].hash, 101, last=True), Head(kept[0].hash, 31)]).whole
    assert verified(kept, [Head(kept[0].hash, 1)]).breaks == [
        "the head of elsewhere says 1 where 31 rows had been written"
    ]
    [gone] = verified(kept, [Head("a" * 64, 12)]).breaks
    assert "removed by a retention" in gone


def test_a_row_that_says_that_the_head_was_missing_is_a_break() -> None:
    rows = grown(trail(10), HEAD_MISSING)
    assert verified(rows, [head_of(rows)]).breaks == [
        "the head was missing or did not fit when row 11 was written: rows may have been cut off before it"
    ]


def test_the_rows_of_a_part_are_looked_at_one_by_one() -> None:
    rows = trail(10)
    part = [rows[2], rows[7]]
    assert verified_part(part).whole
    assert "cannot be verified as a chain" in verified_part(part).remarks[0]
    assert verified_part([rows[2], replace(rows[7], action="pause")]).breaks == ["row 8 was changed"]
