"""An iCalendar text (RFC 5545) → windows or freezes.

icalendar takes the lines apart; what they mean is worked out here and by the core, which counts with clocks as it does for the project's
own files. One entry that cannot be read makes the calendar unreadable: it may be the freeze.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from release_pipelines.adapters.calendars.events import Kind, Meaning, entries_of, title
from release_pipelines.adapters.calendars.lines import Component, Mistake, calendars_in, plain
from release_pipelines.adapters.calendars.zones import Zones, differing
from release_pipelines.core.calendars.model import Entry
from release_pipelines.core.calendars.spans import walls
from release_pipelines.core.calendars.zones import EPOCH, shown, zone, zone_label
from release_pipelines.core.errors import ReleaseError

PAST, AHEAD = 400 * 86400.0, 1100 * 86400.0
"""So far back and ahead a zone's rules are compared with those in the file, in seconds."""
MOST_COMPARED = 500
MOST_NOTES = 100
TYPES: dict[str, Kind] = {"DEFAULT_OPEN": "freeze", "DEFAULT_CLOSED": "window"}
"""What the events of an AWS Change Calendar are, by its ``X-CALENDAR-TYPE``."""


class Unreadable(ReleaseError):
    """Entries that cannot be read: ``mistakes`` are sentences without a full stop, each with the entry in question."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        super().__init__(f"{mistakes[0]}{more}")
        self.mistakes = list(mistakes)


class Read(NamedTuple):
    """What a text says. ``zone`` is that in which people read it, None where it names none; ``notes`` have no full stop."""

    kind: Kind
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]
    zone: str | None


def read_ics(
    content: str | bytes,
    *,
    kind: Kind | None = None,
    zone_name: str | None = None,
    scope: dict[str, Any] | None = None,
    at: float,
) -> Read:
    """The windows or freezes of a text.

    :param kind: what its events are; None: what its ``X-CALENDAR-TYPE`` says.
    :param zone_name: where times without a zone and whole days hold; None: where its ``X-WR-TIMEZONE`` says.
    :param scope: ``apps``, ``environments`` and ``tags`` of all entries.
    :param at: Unix time in seconds around which zones are compared with their descriptions in the text.
    :raises NoCalendar: when it is no calendar, or not all of one.
    :raises Unreadable: when an entry cannot be read.
    """
    found: list[Entry] = []
    notes: list[str] = []
    mistakes: list[str] = []
    shown_zone = None
    calendars = calendars_in(content)
    try:
        meant = kind or _type_of(calendars[0])
    except Mistake as mistake:
        raise Unreadable([str(mistake)]) from None
    for calendar in calendars:
        zones = Zones(calendar, zone_name)
        meaning = Meaning(meant, scope or {}, zones)
        shown_zone = shown_zone or zones.shown
        if calendar.word("METHOD") == "CANCEL":
            continue
        for versions in _by_uid(calendar):
            try:
                entries = entries_of(versions, meaning, notes)
                found += entries
                notes += _doubts(entries, zones, at)
            except Mistake as mistake:
                mistakes.append(f"{_named(versions[0])}: {mistake}")
    if mistakes:
        raise Unreadable(mistakes)
    return Read(meant, tuple(found), tuple(dict.fromkeys(notes))[:MOST_NOTES], shown_zone)


def _type_of(calendar: Component) -> Kind:
    word = calendar.word("X-CALENDAR-TYPE")
    if word not in TYPES:
        found = f"`{plain(word, 40)}`" if word else "nothing"
        raise Mistake(f"X-CALENDAR-TYPE: {' or '.join(TYPES)} is expected, found {found}")
    return TYPES[word]


def _by_uid(calendar: Component) -> Iterator[list[Component]]:
    """The events, those of one UID together; one without a UID is alone."""
    found: dict[str, list[Component]] = {}
    for n, event in enumerate(calendar.parts("VEVENT")):
        uid = next((it.value.strip() for it in event.all("UID")), "") or f"\n{n}"
        found.setdefault(uid, []).append(event)
    yield from found.values()


def _named(event: Component) -> str:
    start = next((f" ({plain(it.value, 20)})" for it in event.all("DTSTART")), "")
    return f'"{title(event)}"{start}'


def _doubts(entries: Sequence[Entry], zones: Zones, at: float) -> Iterator[str]:
    """Sentences about entries whose zone the file describes otherwise, with both instants."""
    for entry in (it for it in entries if it.zone in zones.doubtful):
        name, other = zones.doubtful[entry.zone]
        if not zones.differ(entry.zone, at - PAST, at + AHEAD):
            continue
        reach = [EPOCH + timedelta(seconds=it) for it in (at - PAST, at + AHEAD)]
        found = [it for it, _ in zip(walls(entry, *reach), range(MOST_COMPARED), strict=False)]
        if instants := differing(found, entry.zone, other):
            ours, theirs = (shown(it, zone("UTC")) for it in instants)
            counts, says = (
                ("the time zone database", "its VTIMEZONE")
                if "\n" in other
                else ("its VTIMEZONE", "the time zone database")
            )
            yield (
                f'"{entry.name}": {name} is described in the file otherwise than in the time zone database: {ours} by {counts}, which counts, '
                f"and {theirs} by {says} ({zone_label(other)})"
            )
