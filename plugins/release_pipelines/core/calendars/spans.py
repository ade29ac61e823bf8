"""From an entry's wall times to spans of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from release_pipelines.core.calendars.days import days_between, plain
from release_pipelines.core.calendars.model import Entry, Recurrence, Span
from release_pipelines.core.calendars.zones import (
    EPOCH,
    first_instant,
    first_instant_at,
    last_instant,
    last_instant_at,
    wall_clock,
    zone,
)

if TYPE_CHECKING:
    from dateutil.rrule import rrule

DAY = timedelta(days=1)
DAY_SECONDS = 86400
FIRST, LAST = datetime(1900, 1, 1), datetime(9000, 1, 1)
FURTHEST = 16 * 3600
"""No clock is further from UTC than that, in seconds."""
_EPOCH_DAY = EPOCH.toordinal()
_YEARLY, _MONTHLY, _WEEKLY, _DAILY = range(4)
_PERIOD_DAYS = {_WEEKLY: 7, _DAILY: 1}


def spans(entry: Entry, start: float, end: float) -> list[Span]:
    """The occurrences of an entry that overlap a time, in order, each in full.

    One occurrence is one span, from the first instant of its start's wall time to the last of its end's. A start or an end that
    clocks leave out is the instant of the change; what has no length is no occurrence.

    :param start: Unix time in seconds, as ``end``.
    """
    found = {it for _, it in _occurrences(entry, start, end) if it.start < end and it.end > start and it.end > it.start}
    return sorted(found) if len(found) > 1 else list(found)


def lost(entry: Entry, start: float, end: float) -> list[datetime]:
    """Wall times of occurrences that do not happen, because clocks leave them out."""
    found = _occurrences(entry, start, end)
    return [EPOCH + timedelta(seconds=wall) for wall, it in found if it.end <= it.start and start <= it.start < end]


def starts_of(recurrence: Recurrence, after: datetime, before: datetime) -> Iterator[datetime]:
    """The wall times at which a recurrence begins, between two wall times, without those before its first day."""
    for wall in _starts(recurrence, seconds_of(after), seconds_of(before)):
        yield EPOCH + timedelta(seconds=wall)


def seconds_of(wall: datetime) -> float:
    """A wall time as seconds since clocks showed 1970."""
    return (wall - EPOCH).total_seconds()


_FIRST, _LAST = seconds_of(FIRST), seconds_of(LAST)


def _starts(recurrence: Recurrence, after: float, before: float) -> Iterator[float]:
    """The wall times at which a recurrence begins, from ``after`` to ``before``."""
    since, weekdays = recurrence.since, recurrence.after
    clock = since.hour * 3600 + since.minute * 60 + since.second
    first = int(after // DAY_SECONDS) + _EPOCH_DAY - 7 * len(weekdays)
    last = int(before // DAY_SECONDS) + _EPOCH_DAY
    rule = plain(recurrence.rule)
    days = days_between(recurrence.rule, rule, since, first, last) if rule else _rare_days(recurrence, first, last)
    for day in days:
        for weekday in weekdays:
            day += (weekday - day) % 7 + 1  # the ordinal of a Monday is 1 in 7, and its weekday 0
        wall = (day - _EPOCH_DAY) * DAY_SECONDS + clock
        if after <= wall <= before:
            yield wall


def _rare_days(recurrence: Recurrence, first: int, last: int) -> Iterator[int]:
    """The days of a rule for which dateutil is needed."""
    after = max(datetime.fromordinal(first), FIRST)
    for found in _from(recurrence, after).xafter(after, inc=True):
        day = found.toordinal()
        if day > last:
            return
        yield day


def _occurrences(entry: Entry, start: float, end: float) -> Iterator[tuple[float, Span]]:
    """Occurrences around a time, and the wall times, in seconds since 1970, at which they begin."""
    rules = zone(entry.zone)
    exact, wall_length = entry.length.exact, entry.length.wall
    for begin, finish in entry.spans:
        yield seconds_of(begin), Span(first_instant(begin, rules), last_instant(finish, rules))
    after = max(start - wall_length - exact - FURTHEST, _FIRST)
    before = min(end + FURTHEST, _LAST)
    left_out = {seconds_of(it) for it in entry.left_out}
    left_out_days = {it.toordinal() - _EPOCH_DAY for it in entry.left_out_days}
    for wall in _walls(entry, after, before):
        if wall in left_out or (left_out_days and wall // DAY_SECONDS in left_out_days):
            continue
        begins = first_instant_at(wall, rules)
        ends = (last_instant_at(wall + wall_length, rules) if wall_length else begins) + exact
        yield wall, Span(begins, ends)


def walls(entry: Entry, after: datetime, before: datetime) -> Iterator[datetime]:
    """The wall times at which an entry begins, from one to another, also those that are left out; without its ``spans``."""
    for wall in _walls(entry, seconds_of(after), seconds_of(before)):
        yield EPOCH + timedelta(seconds=wall)


def _walls(entry: Entry, after: float, before: float) -> Iterator[float]:
    for recurrence in entry.recurrences:
        until = recurrence.until if recurrence.count is None else last_start(recurrence, entry.zone)
        for wall in _starts(recurrence, after, before):
            if until is not None and first_instant_at(wall, zone(entry.zone)) > until:
                break
            yield wall
    for it in entry.starts:
        if after <= (wall := seconds_of(it)) <= before:
            yield wall


@lru_cache(maxsize=4096)
def last_start(recurrence: Recurrence, zone_name: str) -> float | None:
    """The instant of the last start of a recurrence that ends; None for an endless one."""
    if recurrence.count is None:
        return recurrence.until
    last = None
    for n, wall in enumerate(_rule(recurrence), 1):
        last = wall
        if n == recurrence.count:
            break
    if last is None:
        return float("-inf")
    for weekday in recurrence.after:
        last += timedelta(days=(weekday - last.weekday() - 1) % 7 + 1)
    return first_instant(last, zone(zone_name))


def ever(recurrence: Recurrence) -> bool:
    """Whether a recurrence has a day at all."""
    rule = _rule(recurrence)
    years = 60 * rule._interval
    horizon = min(recurrence.since.year + years, LAST.year)
    return next(iter(rule.replace(until=recurrence.since.replace(year=horizon, day=1))), None) is not None


@lru_cache(maxsize=4096)
def _rule(recurrence: Recurrence) -> rrule:
    from dateutil.rrule import rrulestr  # few calendars need it

    rule: rrule = rrulestr(recurrence.rule, dtstart=recurrence.since)
    implied = {"bymonth": recurrence.since.month, "bymonthday": recurrence.since.day}
    # what dateutil takes from the first day must stay when the rule begins on another one
    stated = {key: day for key, day in implied.items() if rule._original_rule.get(key, 0) is None}
    return rule.replace(**stated) if stated else rule


def _from(recurrence: Recurrence, after: datetime) -> rrule:
    """The recurrence from shortly before an instant: what came earlier is passed over by whole periods, not day by day."""
    rule = _rule(recurrence)
    since, frequency, interval = recurrence.since, rule._freq, rule._interval
    if after <= since:
        return rule
    if frequency in _PERIOD_DAYS:
        period = _PERIOD_DAYS[frequency] * interval
        periods = (after - since).days // period - 1
        return rule.replace(dtstart=since + periods * period * DAY) if periods > 0 else rule
    months = interval * (12 if frequency == _YEARLY else 1)
    passed = (after.year - since.year) * 12 + after.month - since.month
    periods = passed // months - 1
    if periods <= 0:
        return rule
    year, month = divmod(since.year * 12 + since.month - 1 + periods * months, 12)
    return rule.replace(dtstart=since.replace(year=year, month=month + 1, day=1))


def local_date(at: float, zone_name: str) -> date:
    """The day that clocks in a zone show."""
    return wall_clock(at, zone(zone_name)).date()
