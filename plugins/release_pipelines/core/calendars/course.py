"""How one calendar goes on over time for one question: its open times, made once and kept, further as far as somebody asks."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

from release_pipelines.core.calendars.model import Asked, Calendar, Entry, Span
from release_pipelines.core.calendars.spans import spans

FIRST_REACH = 86400.0
"""How far around an instant a calendar is looked at first, in seconds: the day; each further look is twice as long."""
LAST_REACH = 60 * 366 * 86400.0
"""How far at most, in seconds. A rule that has a day at all has one within it: February 29th on a Sunday comes every 40 years at the latest."""
MOST_AWAY = LAST_REACH / 6
"""How far from its first question a course is asked, in seconds: it reaches half as far again as ``LAST_REACH``, so that much is left."""
DAY = 86400.0
WEEK = 7 * DAY
FEW_TIMES = 3
MOST_TIMES = 400
"""So many days and weeks are known by their single occurrences."""
MOST_SPANS = 300_000
"""How many occurrences at most; a calendar with so many has shown all that it does."""


class State(NamedTuple):
    """Whether a calendar is open at an instant, since when, and until when; infinite where it is not known to end."""

    open: bool
    since: float
    until: float


def course(calendar: Calendar, asked: Asked, at: float) -> Course:
    """The course of a calendar, of the entries that concern what is asked."""
    known: Course | None = calendar._courses.get(asked)
    if known is None or abs(at - known.at) > MOST_AWAY:
        if len(calendar._courses) >= 256:
            calendar._courses.clear()
        known = calendar._courses[asked] = Course(calendar, asked, at)
    return known


@lru_cache(maxsize=256)
def without_freezes(calendar: Calendar) -> Calendar:
    """The same calendar with its windows only."""
    windows = tuple(it for it in calendar.entries if it.kind == "window")
    return Calendar(name=calendar.name, zone=calendar.zone, entries=windows, broken=calendar.broken)


class Course:
    """Open and closed times of one calendar.

    Freezes beat windows. Where windows concern what is asked, outside of them is closed; where none does, outside of freezes is
    open. A calendar that cannot be read is closed.
    """

    def __init__(self, calendar: Calendar, asked: Asked, at: float) -> None:
        self._entries = [it for it in calendar.entries if it.concerns(asked)]
        self._windows = [it for it in self._entries if it.kind == "window"]
        self._freezes = [it for it in self._entries if it.kind == "freeze"]
        self._broken = calendar.broken is not None
        self._back = self._ahead = FIRST_REACH
        self._looked_at = 0
        self._times: dict[tuple[float, float], list[tuple[Entry, Span]]] = {}
        self.at = at
        self.start = at // DAY * DAY
        self.end = self.start + DAY
        self._borders = self._looked(self.start, self.end)

    def state(self, at: float) -> State:
        """What holds at an instant."""
        while at < self.start and self._further(before=True):
            pass
        while True:
            place = bisect_right(self._borders, at)
            since = self._borders[place - 1] if place else float("-inf")
            until = self._borders[place] if place < len(self._borders) else float("inf")
            opened = place % 2 == 1
            if until >= self.end and self._further(before=False):
                continue
            if opened and since <= self.start and self._further(before=True):
                continue
            return State(
                opened,
                since if since > self.start else float("-inf"),
                until if until < self.end else float("inf"),
            )

    def deciding(self, at: float) -> tuple[Entry, Span] | None:
        """The entry that decides at an instant, and its occurrence: the freeze, else the window, that ends last."""
        day, week = (at // DAY * DAY, DAY), (at // WEEK * WEEK, WEEK)
        # a first question is about a day or two; whoever asks further goes through weeks
        time = week if day not in self._times and (week in self._times or len(self._times) > FEW_TIMES) else day
        covering = [it for it in self._in(*time) if it[1].start <= at < it[1].end]
        freezes = [it for it in covering if it[0].kind == "freeze"]
        return max(freezes or covering, key=lambda it: it[1].end, default=None)

    @property
    def has_windows(self) -> bool:
        """Whether a window concerns what is asked."""
        return bool(self._windows)

    def _further(self, *, before: bool) -> bool:
        """Look further, before or behind what is known; False where nothing more can come."""
        reach = self._back if before else self._ahead
        if self._broken or not self._entries or reach > LAST_REACH or self._looked_at > MOST_SPANS:
            return False
        if before:
            self._back *= 2
            self._borders = joined(self._looked(self.start - reach, self.start), self._borders)
            self.start -= reach
        else:
            self._ahead *= 2
            self._borders = joined(self._borders, self._looked(self.end, self.end + reach))
            self.end += reach
        return True

    def _looked(self, start: float, end: float) -> list[float]:
        """The borders of the open times from ``start`` to ``end``, cut off there. Freezes are looked at where windows are, only."""
        if self._broken:
            return []
        opened = [Span(start, end)]
        if self._windows:
            opened = merged(self._of(self._windows, start, end))
        if not opened:
            return []
        first, last = max(start, opened[0].start), min(end, opened[-1].end)
        frozen = merged(self._of(self._freezes, first, last))
        line = without(opened, frozen)
        return [
            border
            for it in line
            if it.end > start and it.start < end
            for border in (max(it.start, start), min(it.end, end))
        ]

    def _of(self, entries: list[Entry], start: float, end: float) -> list[Span]:
        if end - start <= DAY and start // DAY == (end - 1) // DAY:
            kinds = {it.kind for it in entries}
            found = [span for it, span in self._in(start // DAY * DAY, DAY) if it.kind in kinds]
        else:
            found = [span for it in entries for span in spans(it, start, end)]
        self._looked_at += len(found)
        return found

    def _in(self, start: float, length: float) -> list[tuple[Entry, Span]]:
        """The occurrences that overlap a time of some seconds."""
        found = self._times.get((start, length))
        if found is None:
            if len(self._times) >= MOST_TIMES:
                self._times.clear()
            found = [(it, span) for it in self._entries for span in spans(it, start, start + length)]
            self._times[(start, length)] = found
        return found


def joined(before: list[float], behind: list[float]) -> list[float]:
    """The borders of two times of which one follows the other: what is open over the border between them is one."""
    if before and behind and before[-1] == behind[0]:
        return [*before[:-1], *behind[1:]]
    return [*before, *behind]


def merged(found: list[Span]) -> list[Span]:
    """Spans as one line: those that overlap or touch are one."""
    line: list[Span] = []
    for it in sorted(found):
        if line and it.start <= line[-1].end:
            line[-1] = Span(line[-1].start, max(line[-1].end, it.end))
        else:
            line.append(it)
    return line


def without(line: list[Span], taken: list[Span]) -> list[Span]:
    """A line without another one."""
    left: list[Span] = []
    n = 0
    for start, end in line:
        while n < len(taken) and taken[n].end <= start:
            n += 1
        k = n
        while k < len(taken) and taken[k].start < end:
            if start < taken[k].start:
                left.append(Span(start, taken[k].start))
            start = max(start, taken[k].end)
            k += 1
        if start < end:
            left.append(Span(start, end))
    return left
