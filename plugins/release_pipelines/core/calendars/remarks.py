"""What is worth knowing about a calendar beforehand: what does not happen, and what has no effect."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice

from release_pipelines.core.calendars.course import without_freezes
from release_pipelines.core.calendars.model import Asked, Calendar, Entry
from release_pipelines.core.calendars.spans import lost, spans
from release_pipelines.core.calendars.standing import openings
from release_pipelines.core.calendars.zones import disagreement, shown, zone
from release_pipelines.core.model.units import lasting

YEAR = 366 * 86400.0
LONG = 60 * YEAR
MOST_OVERLAPS = 10
"""So many pairs of windows that overlap are told of a calendar."""


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
    yield from islice(_overlaps(calendar, at), MOST_OVERLAPS)
    for name in sorted({it.zone for it in calendar.entries}):
        if sentence := disagreement(name, at):
            yield sentence


def too_short(calendar: Calendar, asked: Asked, durations: Sequence[float], at: float) -> Iterator[str]:
    """Windows that are shorter than the last releases took, a sentence each without its full stop.

    :param durations: of the last releases, in seconds; empty: whether one fits is unknown, and that is said.
    :param at: Unix time in seconds; a year from then is looked at.
    """
    windows = [it for it in calendar.entries if it.kind == "window" and it.concerns(asked)]
    if not windows:
        return
    if not durations:
        yield f"{calendar.name}: whether a release fits into its windows is unknown: none has come to a good end here yet"
        return
    shortest, longest = lasting(round(min(durations))), lasting(round(max(durations)))
    took = shortest if shortest == longest else f"{shortest} to {longest}"
    # windows that touch are one
    whole = openings([without_freezes(calendar)], asked, at, at + YEAR)
    begins = [it.start for it in whole]
    for entry in windows:
        found = [whole[max(0, bisect_right(begins, it.start) - 1)] for it in spans(entry, at, at + YEAR)]
        most = max((it.end - it.start for it in found), default=None)
        if most is not None and most < max(durations):
            yield f"{calendar.name}: {entry} is {lasting(round(most))} long, and the last releases took {took}"


def strangers(
    calendar: Calendar, apps: Collection[str], environments: Collection[str], tags: Collection[str]
) -> Iterator[str]:
    """Entries that are limited to what nothing is called, a sentence each without its full stop: a misspelt freeze closes nothing.

    :param apps: all that there are; ``environments`` and ``tags`` likewise.
    """
    kinds: list[tuple[str, str, Collection[str]]] = [
        ("apps", "no app file is called so", apps),
        ("environments", "no environment file is called so", environments),
        ("tags", "no app has that tag", tags),
    ]
    told: set[str] = set()
    for entry in calendar.entries:
        for key, why, known in kinds:
            for name in sorted(set(getattr(entry, key) or ()) - set(known)):
                close = get_close_matches(name, known, n=1)
                meant = f" (is `{close[0]}` meant?)" if close else ""
                sentence = f"{calendar.name}: {entry} names `{name}` in `{key}`, and {why}{meant}"
                if sentence not in told:
                    told.add(sentence)
                    yield sentence


def _overlaps(calendar: Calendar, at: float) -> Iterator[str]:
    """Windows of which two are open at one time, within a year: they count as one."""
    windows = [it for it in calendar.entries if it.kind == "window"]
    found = sorted((span, n) for n, it in enumerate(windows) for span in spans(it, at, at + YEAR))
    told: set[tuple[int, int]] = set()
    running: list[tuple[float, int]] = []
    for span, n in found:
        running = [(end, k) for end, k in running if end > span.start]
        for _, k in running:
            pair = (min(k, n), max(k, n))
            if k != n and pair not in told and _together(windows[k], windows[n]):
                told.add(pair)
                first = shown(span.start, zone(calendar.zone))
                yield f"{calendar.name}: {windows[k]} and {windows[n]} overlap, first on {first}: they count as one"
        running.append((span.end, n))


def _together(one: Entry, other: Entry) -> bool:
    """Whether both may concern one app in one environment; tags say nothing about that."""
    names = ((one.apps, other.apps), (one.environments, other.environments))
    return all(a is None or b is None or not set(a).isdisjoint(b) for a, b in names)
