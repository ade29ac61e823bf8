"""How one calendar goes on over time for one question: its open times, made once and kept, further as far as somebody asks."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

from release_pipelines.core.calendars.model import Asked, Calendar, Entry, Span
from release_pipelines.core.calendars.spans import spans

FIRST_REACH = 40 * 86400.0
"""How far around an instant a calendar is looked at first, in seconds; each further look is twice as long."""
LAST_REACH = 60 * 366 * 86400.0
"""How far at most, in seconds. A rule that has a day at all has one within it: February 29th on a Sunday comes every 40 years at the latest."""
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
    if known is None or not known.start <= at <= known.end + LAST_REACH / 60:
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
        self._broken = calendar.broken is not None
        self._has_windows = any(it.kind == "window" for it in self._entries)
        self._back = self._ahead = FIRST_REACH
        self._found: list[list[Span]] = [[] for _ in self._entries]
        self._borders: list[float] = []
        self.start, self.end = at - FIRST_REACH, at + FIRST_REACH
        self._look()

    def state(self, at: float) -> State:
        """What holds at an instant."""
        while True:
            place = bisect_right(self._borders, at)
            since = self._borders[place - 1] if place else float("-inf")
            until = self._borders[place] if place < len(self._borders) else float("inf")
            opened = place % 2 == 1
            before, behind = since <= self.start, until >= self.end
            if not (before or behind) or not self._further(before, behind):
                return State(opened, since, until)

    def deciding(self, at: float) -> tuple[Entry, Span] | None:
        """The entry that decides at an instant, and its occurrence: the freeze, else the window, that ends last."""
        covering = [
            (entry, span)
            for entry, found in zip(self._entries, self._found, strict=True)
            for span in found[
                max(0, bisect_right(found, (at, float("inf"))) - 8) : bisect_right(found, (at, float("inf")))
            ]
            if span.start <= at < span.end
        ]
        freezes = [it for it in covering if it[0].kind == "freeze"]
        return max(freezes or covering, key=lambda it: it[1].end, default=None)

    @property
    def has_windows(self) -> bool:
        """Whether a window concerns what is asked."""
        return self._has_windows

    def _further(self, before: bool, behind: bool) -> bool:
        """Look further; False where nothing more can come."""
        before, behind = before and self._back < LAST_REACH, behind and self._ahead < LAST_REACH
        if self._broken or not self._entries or not (before or behind) or sum(map(len, self._found)) > MOST_SPANS:
            return False
        if before:
            self._back = min(2 * self._back, LAST_REACH)
            self.start -= self._back
        if behind:
            self._ahead = min(2 * self._ahead, LAST_REACH)
            self.end += self._ahead
        self._look()
        return True

    def _look(self) -> None:
        self._found = [spans(it, self.start, self.end) for it in self._entries]
        if self._broken:
            self._borders = []
            return
        pairs = list(zip(self._entries, self._found, strict=True))
        frozen = merged([it for entry, found in pairs if entry.kind == "freeze" for it in found])
        windows = merged([it for entry, found in pairs if entry.kind == "window" for it in found])
        opened = windows if self._has_windows else [Span(float("-inf"), float("inf"))]
        self._borders = [border for it in without(opened, frozen) for border in it]


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
