"""The days of the rules that calendars mostly have, by arithmetic: no day is looked at that lies outside of what is asked.

Whatever else RFC 5545 has is left to dateutil (:mod:`release_pipelines.core.calendars.spans`).
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import NamedTuple

CODES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NTH = re.compile(r"(-?[1-5])(MO|TU|WE|TH|FR|SA|SU)")
_KNOWN = frozenset({"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH"})
_MONDAY = 1
"""The ordinal of a Monday: 1 January of the year 1 was one."""


class Plain(NamedTuple):
    """A rule that arithmetic serves.

    :param frequency: ``DAILY``, ``WEEKLY``, ``MONTHLY`` or ``YEARLY``.
    :param weekdays: Monday is 0.
    :param nth: the n-th weekday of a month; from its end where n is negative.
    """

    frequency: str
    interval: int
    weekdays: frozenset[int] = frozenset()
    month_days: tuple[int, ...] = ()
    nth: tuple[tuple[int, int], ...] = ()
    months: frozenset[int] = frozenset()


@lru_cache(maxsize=1024)
def plain(rule: str) -> Plain | None:
    """The rule, if arithmetic serves it; None for all others.

    :param rule: as RFC 5545 writes it, without COUNT and UNTIL.
    """
    parts = dict(it.split("=", 1) for it in rule.split(";"))
    frequency, interval = parts["FREQ"], int(parts.get("INTERVAL", 1))
    codes = [it for it in parts.get("BYDAY", "").split(",") if it]
    weekdays = frozenset(CODES.index(it) for it in codes if it in CODES)
    nth = tuple((int(it[1]), CODES.index(it[2])) for code in codes if (it := _NTH.fullmatch(code)))
    numbers = {key: [it for it in parts.get(key, "").split(",") if it] for key in ("BYMONTHDAY", "BYMONTH")}
    if not parts.keys() <= _KNOWN or not all(re.fullmatch(r"-?\d+", it) for found in numbers.values() for it in found):
        return None
    days, months = tuple(int(it) for it in numbers["BYMONTHDAY"]), frozenset(int(it) for it in numbers["BYMONTH"])
    found = Plain(frequency, interval, weekdays, days, nth, months)
    served = {
        "DAILY": not (codes or days or months),
        "WEEKLY": len(weekdays) == len(codes) and not (days or months),
        "MONTHLY": len(nth) == len(codes) and not (nth and days),
        "YEARLY": not codes and len(days) <= 1 and len(months) <= 1 and bool(days) == bool(months),
    }
    return found if served.get(frequency, False) else None


FEW_DAYS = 62
"""So many days are kept: many entries of a calendar have the same rule, and are asked about the same days."""


def days_between(text: str, rule: Plain, since: date, first: int, last: int) -> Iterable[int]:
    """:func:`days_of` a rule, kept where it is asked about a few days.

    :param text: the rule as it is written.
    """
    if last - first > FEW_DAYS:
        return days_of(rule, since, first, last)
    return _few_days(text, since.toordinal(), first, last)


@lru_cache(maxsize=4096)
def _few_days(text: str, since: int, first: int, last: int) -> tuple[int, ...]:
    rule = plain(text)
    return tuple(days_of(rule, date.fromordinal(since), first, last)) if rule else ()


def days_of(rule: Plain, since: date, first: int, last: int) -> Iterator[int]:
    """The days of a rule as ordinals, in order.

    :param since: the day from which its intervals are counted; none before it is one of its days.
    :param first: the first day that is asked for, as an ordinal; ``last`` is the last one.
    """
    begin = since.toordinal()
    first = max(first, begin)
    if rule.frequency == "DAILY":
        yield from range(begin + -(-(first - begin) // rule.interval) * rule.interval, last + 1, rule.interval)
    elif rule.frequency == "WEEKLY":
        yield from _weekly(rule, begin, first, last)
    else:
        for day in _monthly(rule, since, first, last):
            if first <= day <= last:
                yield day


def _weekly(rule: Plain, begin: int, first: int, last: int) -> Iterator[int]:
    weekdays = rule.weekdays or {(begin - _MONDAY) % 7}
    if rule.interval == 1:
        for day in range(first, last + 1):
            if (day - _MONDAY) % 7 in weekdays:
                yield day
        return
    week = begin - (begin - _MONDAY) % 7
    step = 7 * rule.interval
    for monday in range(week + max(0, first - week) // step * step, last + 1, step):
        for weekday in sorted(weekdays):
            if first <= monday + weekday <= last:
                yield monday + weekday


def _monthly(rule: Plain, since: date, first: int, last: int) -> Iterator[int]:
    """The days of a rule by months or years, in order, with some outside of what is asked."""
    step = rule.interval * (12 if rule.frequency == "YEARLY" else 1)
    if rule.frequency == "YEARLY":
        origin = 12 * since.year + (next(iter(rule.months)) if rule.months else since.month) - 1
    else:
        origin = 12 * since.year + since.month - 1
    day = date.fromordinal(first)
    month = origin + max(0, 12 * day.year + day.month - 1 - origin) // step * step
    end = date.fromordinal(last)
    while month <= 12 * end.year + end.month - 1:
        year, number = divmod(month, 12)
        if rule.frequency == "YEARLY" or not rule.months or number + 1 in rule.months:
            yield from _in_month(rule, since, year, number + 1)
        month += step


def _in_month(rule: Plain, since: date, year: int, month: int) -> list[int]:
    weekday, length = monthrange(year, month)
    before = date(year, month, 1).toordinal() - 1
    if rule.nth:
        found = set()
        for n, wanted in rule.nth:
            first = 1 + (wanted - weekday) % 7
            day = first + 7 * (n - 1) if n > 0 else first + 7 * ((length - first) // 7 + n + 1)
            if 1 <= day <= length:
                found.add(before + day)
        return sorted(found)
    wanted_days = rule.month_days or (since.day,)
    days = {it if it > 0 else length + 1 + it for it in wanted_days}
    return sorted(before + it for it in days if 1 <= it <= length)
