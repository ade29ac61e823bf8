"""A month or a week as a calendar shows it: days of a zone, from midnight to midnight, and what falls on each."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from release_pipelines.core.calendars.model import Span
from release_pipelines.core.calendars.zones import first_instant

View = Literal["month", "week"]
FIRST_YEAR, LAST_YEAR = 1970, 2200
DAYS_OF_A_WEEK = 7
_MONTH = re.compile(r"\d{4}-\d{2}")
_WEEK = re.compile(r"\d{4}-W\d{2}")
T = TypeVar("T")


class Day(NamedTuple):
    """A day of a zone.

    :param span: from its midnight to before the next one: 23, 24 or 25 hours.
    :param inside: False: it fills a week that belongs to the month in part.
    """

    date: date
    span: Span
    inside: bool


@dataclass(frozen=True)
class Sheet:
    """What is shown at once.

    :param first: the first day of the month, or the Monday of the week.
    """

    view: View
    first: date
    zone: ZoneInfo

    @property
    def end(self) -> date:
        """The first day of the next one."""
        return next_month(self.first) if self.view == "month" else self.first + timedelta(days=DAYS_OF_A_WEEK)

    @property
    def before(self) -> date:
        """The first day of the one before."""
        if self.view == "month":
            return (self.first - timedelta(days=1)).replace(day=1)
        return self.first - timedelta(days=DAYS_OF_A_WEEK)

    @property
    def span(self) -> Span:
        """Its instants, without the days that only fill its weeks."""
        return Span(midnight(self.first, self.zone), midnight(self.end, self.zone))

    def weeks(self) -> list[list[Day]]:
        """Its days by weeks, which begin on Monday; whole ones, so that some days may belong to the months beside it."""
        monday = self.first - timedelta(days=self.first.weekday())
        found = []
        while monday < self.end:
            days = [monday + timedelta(days=it) for it in range(DAYS_OF_A_WEEK)]
            found.append([self._day(it) for it in days])
            monday += timedelta(days=DAYS_OF_A_WEEK)
        return found

    def _day(self, day: date) -> Day:
        span = Span(midnight(day, self.zone), midnight(day + timedelta(days=1), self.zone))
        return Day(day, span, self.first <= day < self.end)


def sheet_of(view: str, at: str, zone: ZoneInfo, today: date) -> Sheet:
    """The month or week that is asked for.

    :param view: ``month`` or ``week``.
    :param at: a month like ``2026-03``, a week like ``2026-W13`` or a day like ``2026-03-29`` in it; empty: today.
    :raises ValueError: a sentence without its full stop.
    """
    if view not in ("month", "week"):
        raise ValueError(f"view: month or week is expected, found `{view}`")
    day = _day_in(at) if at else today
    if not FIRST_YEAR < day.year < LAST_YEAR:
        raise ValueError(f"at: a year from {FIRST_YEAR + 1} to {LAST_YEAR - 1} is expected, found {day.year}")
    if view == "month":
        return Sheet("month", day.replace(day=1), zone)
    return Sheet("week", day - timedelta(days=day.weekday()), zone)


def midnight(day: date, zone: ZoneInfo) -> float:
    """The instant at which a day begins, as Unix time in seconds; where clocks leave midnight out, that of the change."""
    return first_instant(datetime.combine(day, time()), zone)


def next_month(day: date) -> date:
    """The first day of the next month."""
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def by_day(days: Iterable[Day], spans: Iterable[tuple[Span, T]]) -> list[list[tuple[Span, T]]]:
    """What falls on each day, in order of its beginning; what lasts for several days falls on each of them.

    :param spans: an instant is a span without a length.
    """
    line = list(days)
    starts = [it.span.start for it in line]
    found: list[list[tuple[Span, T]]] = [[] for _ in line]
    for span, what in spans:
        n = max(bisect_right(starts, span.start) - 1, 0)
        while n < len(line) and (starts[n] < span.end or starts[n] <= span.start):
            if span.start < line[n].span.end and (span.end > starts[n] or span.start >= starts[n]):
                found[n].append((span, what))
            n += 1
    return [sorted(it, key=lambda pair: pair[0]) for it in found]


def _day_in(text: str) -> date:
    try:
        if _MONTH.fullmatch(text):
            return date.fromisoformat(f"{text}-01")
        if _WEEK.fullmatch(text):
            return date.fromisocalendar(int(text[:4]), int(text[6:]), 1)
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise ValueError(
            f"at: a month like 2026-03 or a day like 2026-03-29 is expected, found `{text[:40]}`"
        ) from None
