"""Whether an audit trail is whole: what was changed, removed, exchanged, inserted, or cut off, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from release_pipelines.core.audit.row import FIRST, Row

RETENTION, ERASURE = "retention", "erasure"
"""Actions whose rows say what was removed on purpose: rows up to one, and texts of some."""
CONTINUES_FROM = "continues_from"
"""In the data of a retention: hash of the last row that it removed."""
REMOVED, UP_TO = "removed", "up_to"
"""In the data of a retention: how many rows are gone since the first one; number of the last one, which is the same where nobody says how many."""
LONGEST = 20
"""Numbers of so many digits are none that is ever written."""
HEAD_MISSING = "head_missing"
"""The action of a row that was written when the trail's head did not fit the rows any more: it was made anew from them."""
ERASED = "rows"
"""In the data of an erasure: numbers of the rows whose texts it took, separated by spaces."""


@dataclass(frozen=True)
class Head:
    """The end of the trail, as it was kept somewhere else.

    :param count: how many rows had been written until then, those removed by retention included.
    :param where: where it was kept, in words.
    :param last: whether it was read together with the rows, so that no row may follow it.
    """

    hash: str
    count: int
    where: str = "elsewhere"
    last: bool = False


@dataclass(frozen=True)
class Verified:
    """What a verification found.

    :param rows: how many rows there are.
    :param breaks: what is wrong, a sentence without full stop each, in the order of the rows.
    :param remarks: what could not be seen, and what is missing on purpose.
    """

    rows: int
    breaks: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.breaks


def verified(rows: Sequence[Row], heads: Iterable[Head] = ()) -> Verified:
    """Check a trail. One break hides no other: what lies behind it is checked all the same.

    :param rows: all that there are.
    :param heads: ends that were kept elsewhere; without one nobody can see that the end was cut off.
    """
    found = Verified(len(rows))
    ordered = sorted(rows, key=lambda row: row.number)
    unique, copies = _without_copies(ordered)
    places = [(row.number, f"row {row.number} was inserted: it is a copy of row {of}") for row, of in copies]
    places += [(row.number, f"row {row.number} was changed") for row in unique if not _true(row, unique)]
    places += _links(unique)
    places += [
        (
            row.number,
            f"the head was missing or did not fit when row {row.number} was written: rows may have been cut off before it",
        )
        for row in unique
        if row.action == HEAD_MISSING
    ]
    found.breaks.extend(sentence for _, sentence in sorted(places))
    _beginning(unique, found)
    _erasures(unique, found)
    _ends(unique, list(heads), found)
    return found


def verified_part(rows: Sequence[Row]) -> Verified:
    """Check the rows of a part of a trail, each by itself: whether one of them was changed, and nothing else."""
    found = Verified(len(rows))
    found.breaks.extend(f"row {row.number} was changed" for row in rows if not row.true)
    found.remarks.append(
        "a part of a trail cannot be verified as a chain: whether rows are missing, exchanged, inserted or cut off cannot be seen"
    )
    return found


def written(rows: Sequence[Row], end: str) -> tuple[int, bool]:
    """How many rows were written until one, those removed by retention included.

    :param end: the last of them, by its hash.
    :return: how many, and whether these are all: not where one of them is missing, or nobody says how many were removed.
    """
    by_hash = {row.hash: row for row in rows}
    removed = _removed(rows)
    count, seen = 0, set()
    while end in by_hash and end not in seen:
        seen.add(end)
        count, end = count + 1, by_hash[end].previous
    if end == FIRST:
        return count, True
    before = removed.get(end)
    return count + (before or 0), before is not None


def _removed(rows: Sequence[Row]) -> dict[str, int | None]:
    """Hashes of the last rows that retentions removed, and how many were gone with them since the first one."""
    told = [row for row in rows if row.action == RETENTION and row.data.get(CONTINUES_FROM)]
    return {row.data[CONTINUES_FROM]: _number(row.data.get(REMOVED, row.data.get(UP_TO, ""))) for row in told}


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < LONGEST else None


def _without_copies(rows: Sequence[Row]) -> tuple[list[Row], list[tuple[Row, int]]]:
    first: dict[str, int] = {}
    unique, copies = [], []
    for row in sorted(rows, key=lambda row: (row.hash, row.hash != row.digest(), row.number)):
        if row.hash in first:
            copies.append((row, first[row.hash]))
        else:
            first[row.hash] = row.number
            unique.append(row)
    return sorted(unique, key=lambda row: row.number), copies


def _true(row: Row, rows: Sequence[Row]) -> bool:
    """Whether it is as it was written; in another row's place it is told as exchanged, and not as changed."""
    if row.true or row.damaged:
        return row.true
    from dataclasses import replace

    return all(text.true for text in row.texts.values()) and any(
        replace(row, number=other.number).digest() == row.hash for other in rows if other is not row
    )


def _links(rows: Sequence[Row]) -> list[tuple[int, str]]:
    """Where one row does not follow the other, by number and in words."""
    hashes = {row.hash for row in rows}
    places: list[tuple[int, str]] = []
    followed = {row.previous: row for row in rows}
    index = 1
    while index < len(rows):
        before, row = rows[index - 1], rows[index]
        if row.previous == before.hash:
            index += 1
            continue
        following = followed.get(before.hash)
        if following is not None and index + 1 < len(rows) and rows[index + 1] is following:
            places.append((row.number, f"rows {row.number} and {following.number} were exchanged"))
            index += _exchanged(rows, index)
            continue
        if following is not None and following.number > row.number:
            places.append((row.number, f"row {row.number} is not in its place"))
        elif row.previous in hashes:
            places.append((row.number, f"row {row.number} does not follow row {before.number}: it follows another one"))
        else:
            places.append((before.number, f"a row is missing after {before.number}"))
        index += 1
    return places


def _exchanged(rows: Sequence[Row], index: int) -> int:
    """How many rows to go on by after two that were exchanged: the one behind them follows the first of them."""
    behind = index + 2
    if behind < len(rows) and rows[behind].previous == rows[index].hash:
        return 3
    return 2


def _beginning(rows: Sequence[Row], found: Verified) -> None:
    if not rows or rows[0].previous == FIRST:
        return
    told = next((it for it in rows if it.action == RETENTION and it.data.get(CONTINUES_FROM) == rows[0].previous), None)
    if told is None:
        found.breaks.insert(0, f"rows are missing before {rows[0].number}, and no retention says so")
    else:
        rule = told.data.get("rule", "its rule")
        found.remarks.append(f"rows before {rows[0].number} were removed by {rule}, as row {told.number} says")


def _erasures(rows: Sequence[Row], found: Verified) -> None:
    allowed = {
        int(it)
        for row in rows
        if row.action == ERASURE
        for it in row.data.get(ERASED, "").split()
        if len(it) < LONGEST and it.isdecimal()
    }
    erased = {row.number for row in rows if any(text.value is None for text in row.texts.values())}
    for number in sorted(erased - allowed):
        found.breaks.append(f"texts of row {number} are gone, and no erasure says so")
    if erased & allowed:
        found.remarks.append(f"texts of {rows_in_words(len(erased & allowed))} were forgotten, as erasures say")


def _ends(rows: Sequence[Row], heads: list[Head], found: Verified) -> None:
    if not any(head.count for head in heads):
        found.remarks.append("no head that was kept elsewhere was given: a cut end cannot be seen")
    known, removed = {row.number: row for row in rows}, _removed(rows)
    followed = {row.previous for row in rows}
    end = next((known[number] for number in sorted(known, reverse=True) if known[number].hash not in followed), None)
    hashes = {row.hash for row in rows} | removed.keys() | {FIRST}
    gone = max((count or 0 for count in removed.values()), default=0)
    for head in heads:
        count, exact = written(rows, head.hash)
        if head.hash not in hashes or (head.last and end is None and head.hash != FIRST):
            behind = f"{rows_in_words(len(rows))}, the head of {head.where} says {head.count}"
            if 0 < head.count <= gone and not head.last:
                found.breaks.append(f"{behind}: its row was removed by a retention, so it can be compared with nothing")
            else:
                found.breaks.append(f"{behind}: its end was cut off, or written anew")
        elif head.last and end is not None and head.hash != end.hash:
            found.breaks.append(
                f"the head of {head.where} is not that of the last row, {end.number}: one of them was changed"
            )
        elif head.count < count or (exact and head.count != count):
            found.breaks.append(
                f"the head of {head.where} says {head.count} where {rows_in_words(count)} had been written"
            )


def rows_in_words(count: int) -> str:
    """So many rows."""
    return f"{count} row{'' if count == 1 else 's'}"
