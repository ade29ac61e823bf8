"""One event of a calendar, all of its versions and exceptions together → windows or freezes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Literal, NamedTuple

from release_pipelines.adapters.calendars.lines import Component, Mistake, Property, plain
from release_pipelines.adapters.calendars.times import Time, duration, length_until, periods_in, time_in, times_in
from release_pipelines.adapters.calendars.zones import Zones
from release_pipelines.core.calendars.model import Entry, Length, Recurrence
from release_pipelines.core.calendars.rules import begins_with, rrule
from release_pipelines.core.calendars.spans import walls
from release_pipelines.core.calendars.zones import first_instant, wall_clock, zone

Kind = Literal["window", "freeze"]
Series = list[Entry]
DAY = timedelta(days=1)
NO_TIME = timedelta(hours=3)
"""No change of clocks leaves out more than this."""


class Meaning(NamedTuple):
    """What all events of a calendar are, and whom they concern."""

    kind: Kind
    scope: dict[str, Any]
    zones: Zones


def title(event: Component) -> str:
    """What people call an event."""
    return next((plain(it.text, 100) for it in event.all("SUMMARY") if it.value.strip()), "") or "without a name"


def entries_of(versions: Sequence[Component], meaning: Meaning, notes: list[str]) -> list[Entry]:
    """The windows or freezes of all components with one UID.

    :param notes: gets what is worth knowing.
    :raises Mistake: with a sentence without its full stop.
    """
    series_of = [it for it in versions if not it.all("RECURRENCE-ID")]
    moved = [it for it in versions if it.all("RECURRENCE-ID")]
    master = newest(series_of, notes) if series_of else None
    if master is not None and not _happens(master, meaning.kind, notes):
        return []
    series = _series(master, meaning, notes) if master is not None else []
    all_day = master is not None and "T" not in master.word("DTSTART")
    found: list[Entry] = []
    for (n, wall), changes in _by_occurrence(moved, series, all_day, meaning, notes).items():
        if wall is not None:
            series[n] = _without(series[n], wall)
        change = newest(changes, notes)
        if _happens(change, meaning.kind, notes):
            if change.all("RRULE"):
                raise Mistake("an exception (RECURRENCE-ID) without an RRULE is expected")
            found += _series(change, meaning, notes, named=master)
    return [*series, *found]


def newest(versions: Sequence[Component], notes: list[str]) -> Component:
    """The version that counts: the highest SEQUENCE, then the last change.

    :raises Mistake: where two different ones say that they are it.
    """
    best = max(versions, key=_rank)
    for it in versions:
        if _rank(it)[0] != _rank(best)[0] or it.properties == best.properties:
            continue
        if _rank(it) == _rank(best):
            raise Mistake(
                "a UID of its own, or a SEQUENCE of its own, is expected of each event, found one UID and SEQUENCE twice"
            )
        notes.append(
            f'"{title(it)}" has the UID and the SEQUENCE of "{title(best)}", which was changed later and counts alone'
        )
    return best


def _rank(event: Component) -> tuple[int, str]:
    sequence = event.word("SEQUENCE") or "0"
    if not sequence.isascii() or not sequence.isdigit():
        raise Mistake(f"a SEQUENCE that is a number is expected, found `{plain(sequence, 20)}`")
    return int(sequence), event.word("LAST-MODIFIED") or event.word("DTSTAMP")


def _happens(event: Component, kind: Kind, notes: list[str]) -> bool:
    """Whether it counts: what is cancelled does not, and what is not certain closes rather than opens."""
    if event.word("STATUS") == "CANCELLED":
        return False
    if kind == "window" and _tentative(event):
        notes.append(f'"{title(event)}" is tentative and opens nothing')
        return False
    return True


def _tentative(event: Component) -> bool:
    return event.word("STATUS") not in ("", "CONFIRMED")


def _series(event: Component, meaning: Meaning, notes: list[str], named: Component | None = None) -> Series:
    """The entry of an event, and further ones for additional occurrences of another zone or length."""
    if event.unread:
        raise Mistake(f"lines like NAME:value are expected, found `{plain(event.unread[0], 60)}`")
    if event.all("EXRULE"):
        raise Mistake("EXDATE instead of EXRULE is expected: RFC 5545 does not know it any more")
    given = event.one("DTSTART")
    if given is None:
        raise Mistake("a DTSTART is expected")
    start = time_in(given, meaning.zones)
    here = start.zone or meaning.zones.default
    length = _length(event, start, here, meaning.zones)
    words = title(event) if event.all("SUMMARY") or named is None else title(named)
    facts = {"kind": meaning.kind, "name": words, "reason": _reason(event), **meaning.scope}
    recurrences = tuple(_recurrence(it, start, here) for it in event.all("RRULE"))
    starts = [start.wall] if not recurrences else []
    for it in recurrences:
        if begins_with(it):
            continue
        if it.count is not None:
            raise Mistake(
                f"a DTSTART that is a day of its rule is expected beside COUNT, found `{start.said}`: RFC 5545 leaves open what that means"
            )
        counts = "counts, too" if meaning.kind == "freeze" else "does not count"
        notes.append(
            f'"{words}" begins on a day that is none of its rule ({start.said}), which RFC 5545 leaves open: it {counts}'
        )
        starts += [start.wall] if meaning.kind == "freeze" else []
    series: Series = []
    for zone_name, wall, its_length in _additional(event, start.all_day, here, length, meaning.zones):
        if zone_name == here and its_length == length:
            starts.append(wall)
        else:
            series.append(Entry(zone=zone_name, starts=(wall,), length=its_length, **facts))
    series.insert(0, Entry(zone=here, recurrences=recurrences, starts=tuple(starts), length=length, **facts))
    for given in event.all("EXDATE"):
        for when in times_in(given, meaning.zones):
            series = _left_out(series, when, start.all_day, words, notes)
    return series


def _length(event: Component, start: Time, here: str, zones: Zones) -> Length:
    end, lasts = event.one("DTEND"), event.one("DURATION")
    if end is not None and lasts is not None:
        raise Mistake("DTEND or DURATION, not both is expected")
    if end is not None:
        return length_until(start, time_in(end, zones), here)
    if lasts is not None:
        return duration("DURATION", lasts.value)
    if start.all_day:
        return Length(wall=DAY.total_seconds())
    raise Mistake("a DTEND or a DURATION is expected beside a DTSTART with a time: without one it has no length")


def _reason(event: Component) -> str | None:
    about = next((plain(it.text, 200) for it in event.all("DESCRIPTION") if it.value.strip()), "")
    more = ["tentative"] if _tentative(event) else []
    more += ["shown as free"] if event.word("TRANSP") == "TRANSPARENT" else []
    return ", ".join([*([about] if about else []), *more]) or None


def _recurrence(given: Property, start: Time, here: str) -> Recurrence:
    text = given.value.strip().upper()
    if start.all_day:  # a day has no time: what UNTIL says of one is some zone's midnight
        text = re.sub(r"(UNTIL=\d{8})T\d{6}Z?", r"\1", text)
    try:
        return rrule(text, start.wall, here)
    except ValueError as error:
        raise Mistake(f"RRULE: {error}") from None


def _additional(
    event: Component, all_day: bool, here: str, length: Length, zones: Zones
) -> Iterator[tuple[str, datetime, Length]]:
    """Further occurrences: the zone and the wall time at which each begins, and its length."""
    for given in event.all("RDATE"):
        if given.parameter("VALUE").upper() == "PERIOD":
            for begins, behind in periods_in(given, zones):
                its = begins.zone or here
                yield its, begins.wall, behind if isinstance(behind, Length) else length_until(begins, behind, its)
            continue
        for it in times_in(given, zones):
            if it.all_day != all_day:
                raise Mistake(f"an RDATE of the kind of DTSTART is expected, found `{it.said}`")
            yield it.zone or here, it.wall, length


def _left_out(series: Series, when: Time, all_day: bool, words: str, notes: list[str]) -> Series:
    """The series without the occurrences that an EXDATE names."""
    found = _places(series, when, all_day)
    if not found:
        notes.append(f'"{words}": EXDATE {when.said} fits none of its occurrences')
    for n, wall in found:
        series[n] = _without(series[n], wall)
    return series


def _without(entry: Entry, wall: datetime) -> Entry:
    return entry.model_copy(update={"left_out": (*entry.left_out, wall)})


def _places(series: Series, when: Time, all_day: bool) -> list[tuple[int, datetime]]:
    """The occurrences that a time means, in whatever zone it is written: which entry of the series, and the wall time there."""
    found = [(n, wall) for n, entry in enumerate(series) for wall in _walls_meant(entry, when, all_day)]
    return found if when.all_day else found[:1]


def _walls_meant(entry: Entry, when: Time, all_day: bool) -> list[datetime]:
    if when.all_day:
        return list(walls(entry, when.wall, datetime.combine(when.wall, time.max)))
    if when.zone in (None, entry.zone):
        candidates = [when.wall]
    else:
        at, rules = when.first(entry.zone), zone(entry.zone)
        clock = wall_clock(at, rules)
        # one that clocks leave out begins with the change; others count it with the clock from before
        lost = [it for it in walls(entry, clock - NO_TIME, clock) if first_instant(it, rules) == at]
        candidates = [clock, *lost, wall_clock(at - NO_TIME.total_seconds(), rules) + NO_TIME]
    if all_day:
        candidates += [datetime.combine(it, time()) for it in (when.wall, candidates[0])]
    return next((it for wall in candidates if (it := list(walls(entry, wall, wall)))), [])


def _by_occurrence(
    moved: Sequence[Component], series: Series, all_day: bool, meaning: Meaning, notes: list[str]
) -> dict[tuple[int, datetime | None], list[Component]]:
    """The exceptions, by the occurrence that they replace: its entry in the series and its wall time, or None where it is none."""
    found: dict[tuple[int, datetime | None], list[Component]] = {}
    strange: dict[str, int] = {}
    for it in moved:
        given = it.all("RECURRENCE-ID")[0]
        if given.parameter("RANGE"):
            raise Mistake("exceptions of single occurrences are expected, found a RECURRENCE-ID with RANGE")
        when = time_in(given, meaning.zones)
        places: list[tuple[int, datetime | None]] = [*_places(series, when, all_day)]
        if series and not places:
            notes.append(f'"{title(it)}": RECURRENCE-ID {when.said} fits none of its occurrences')
        n = strange.setdefault(when.said, len(strange))
        found.setdefault(places[0] if places else (n, None), []).append(it)
    return found
