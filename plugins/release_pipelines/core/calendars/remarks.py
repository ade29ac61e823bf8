"""What is worth knowing about a calendar beforehand: what does not happen, and what has no effect."""

from __future__ import annotations

from collections.abc import Iterator

from release_pipelines.core.calendars.model import Calendar
from release_pipelines.core.calendars.spans import lost, spans
from release_pipelines.core.calendars.zones import disagreement

YEAR = 366 * 86400.0
LONG = 60 * YEAR


def remarks(calendar: Calendar, at: float) -> Iterator[str]:
    """Sentences, without a full stop.

    :param at: Unix time in seconds; what clocks leave out is told for a year from then.
    """
    if calendar.trouble is not None:
        yield f"{calendar.name}: {calendar.trouble}"
    yield from (f"{calendar.name}: {it}" for it in calendar.notes)
    if calendar.broken is not None:
        return
    if not calendar.entries:
        yield f"{calendar.name} has no entries: it is always open"
    for entry in calendar.entries:
        for wall in lost(entry, at, at + YEAR):
            yield f"{calendar.name}: {entry} does not happen on {wall:%a %-d %b %Y %H:%M}: clocks leave it out"
        if calendar.source is None and not spans(entry, at, at + YEAR) and not spans(entry, at, at + LONG):
            yield f"{calendar.name}: {entry} is over and does not come again"
    for name in sorted({it.zone for it in calendar.entries}):
        if sentence := disagreement(name, at):
            yield sentence
