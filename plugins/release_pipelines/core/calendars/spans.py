"""From an entry's wall times to spans of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache

from dateutil.rrule import rrule, rrulestr

from release_pipelines.core.calendars.model import Entry, Recurrence, Span
from release_pipelines.core.calendars.zones import first_instant, last_instant, wall_clock, zone

DAY = timedelta(days=1)
FIRST, LAST = datetime(1900, 1, 1), datetime(9000, 1, 1)
_YEARLY, _MONTHLY, _WEEKLY, _DAILY = range(4)
_PERIOD_DAYS = {_WEEKLY: 7, _DAILY: 1}


def spans(entry: Entry, start: float, end: float) -> list[Span]:
    """The occurrences of an entry that overlap a time, in order, each in full.

    One occurrence is one span, from the first instant of its start's wall time to the last of its end's. A start or an end that
    clocks leave out is the instant of the change; what has no length is no occurrence.

    :param start: Unix time in seconds, as ``end``.
    """
    found = {it for _, it in _occurrences(entry, start, end) if it.start < end and it.end > start and it.end > it.start}
    return sorted(found)


def lost(entry: Entry, start: float, end: float) -> list[datetime]:
    """Wall times of occurrences that do not happen, because clocks leave them out."""
    return [wall for wall, it in _occurrences(entry, start, end) if it.end <= it.start and start <= it.start < end]


def starts_of(recurrence: Recurrence, after: datetime, before: datetime) -> Iterator[datetime]:
    """The wall times at which a recurrence begins, between two wall times, without those before its first day."""
    reach = 7 * len(recurrence.after) * DAY
    rule = _from(recurrence, max(after - reach, FIRST))
    for found in rule.xafter(max(after - reach, FIRST), inc=True):
        wall = found
        for weekday in recurrence.after:
            wall += timedelta(days=(weekday - wall.weekday() - 1) % 7 + 1)
        if found > before:
            return
        if after <= wall <= before:
            yield wall


def _occurrences(entry: Entry, start: float, end: float) -> Iterator[tuple[datetime, Span]]:
    rules = zone(entry.zone)
    exact, wall_length = entry.length.exact, timedelta(seconds=entry.length.wall)
    for wall, wall_end in entry.spans:
        yield wall, Span(first_instant(wall, rules), last_instant(wall_end, rules))
    after = max(wall_clock(max(start, -2e9), rules) - wall_length - timedelta(seconds=exact) - DAY, FIRST)
    before = min(wall_clock(min(end, 2e11), rules) + DAY, LAST)
    left_out, left_out_days = set(entry.left_out), set(entry.left_out_days)
    for wall in walls(entry, after, before):
        if wall in left_out or wall.date() in left_out_days:
            continue
        begins = first_instant(wall, rules)
        ends = (last_instant(wall + wall_length, rules) if wall_length else begins) + exact
        yield wall, Span(begins, ends)


def walls(entry: Entry, after: datetime, before: datetime) -> Iterator[datetime]:
    """The wall times at which an entry begins, from one to another, also those that are left out; without its ``spans``."""
    rules = zone(entry.zone)
    for recurrence in entry.recurrences:
        until = last_start(recurrence, entry.zone)
        for wall in starts_of(recurrence, after, before):
            if until is not None and first_instant(wall, rules) > until:
                break
            yield wall
    yield from (it for it in entry.starts if after <= it <= before)


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
    rule = rrulestr(recurrence.rule, dtstart=recurrence.since)
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
