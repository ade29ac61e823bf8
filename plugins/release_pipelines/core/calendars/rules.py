"""Rules of days as people and calendars write them: ``mon-fri``, ``sat after 2nd tue``, RFC 5545's RRULE."""

from __future__ import annotations

import datetime as dt
import re

from release_pipelines.core.calendars.model import Recurrence
from release_pipelines.core.calendars.spans import ever, starts_of
from release_pipelines.core.calendars.zones import first_instant, last_instant, zone

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CODES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_ANCHOR = dt.datetime(1970, 1, 5)
_NTH = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
_PARTS = frozenset(
    [
        "FREQ",
        "INTERVAL",
        "COUNT",
        "UNTIL",
        "BYDAY",
        "BYMONTHDAY",
        "BYYEARDAY",
        "BYWEEKNO",
        "BYMONTH",
        "BYSETPOS",
        "WKST",
    ]
)
_FINE = frozenset({"HOURLY", "MINUTELY", "SECONDLY"})
WORDS = "days like `mon-fri`, `daily`, `last fri`, `2nd tue`, `last day`, `day 15` or `sat after 2nd tue`"
MOST = 100_000


def days_rule(text: str) -> Recurrence:
    """Days in words as a recurrence, at midnight.

    :raises ValueError: with a sentence.
    """
    words, _, behind = text.strip().lower().partition(" after ")
    if behind:
        inner = days_rule(behind)
        return inner.model_copy(update={"after": (*inner.after, _weekday(words, text))})
    parts = words.split()
    if words in ("daily", "every day"):
        return _recurrence("FREQ=DAILY")
    if len(parts) == 2 and parts[0] == "day" and parts[1].isdigit() and 1 <= int(parts[1]) <= 31:
        return _recurrence(f"FREQ=MONTHLY;BYMONTHDAY={int(parts[1])}")
    if len(parts) == 2 and (nth := _nth(parts[0])):
        if parts[1] == "day":
            return _recurrence(f"FREQ=MONTHLY;BYMONTHDAY={nth}")
        return _recurrence(f"FREQ=MONTHLY;BYDAY={nth}{_CODES[_weekday(parts[1], text)]}")
    first, dash, last = words.partition("-")
    begin, end = _weekday(first, text), _weekday(last if dash else first, text)
    count = (end - begin) % 7 + 1
    return _recurrence("FREQ=WEEKLY;BYDAY=" + ",".join(_CODES[(begin + n) % 7] for n in range(count)))


def rrule(text: str, since: dt.datetime, zone_name: str) -> Recurrence:
    """An RFC 5545 rule as a recurrence.

    :param text: like ``FREQ=MONTHLY;BYDAY=-1FR``, also with ``RRULE:`` before it.
    :param since: the wall time of the first start.
    :param zone_name: of the wall times; UNTIL is read in it where it has no zone of its own.
    :raises ValueError: with a sentence, also for a rule that has no day at all, or is finer than daily.
    """
    parts = _parts_of(text)
    if parts.get("FREQ") in _FINE or parts.keys() & {"BYHOUR", "BYMINUTE", "BYSECOND"}:
        raise ValueError(f"a rule that is not finer than daily is expected, found `{text}`")
    if unknown := sorted(parts.keys() - _PARTS):
        raise ValueError(f"a rule of RFC 5545 is expected, found `{unknown[0]}`, which it does not know")
    if {"COUNT", "UNTIL"} <= parts.keys():
        raise ValueError("COUNT or UNTIL, not both is expected")
    until = _until(parts.pop("UNTIL"), zone_name) if "UNTIL" in parts else None
    count = parts.pop("COUNT", None)
    for name, number in {"COUNT": count, "INTERVAL": parts.get("INTERVAL")}.items():
        if number is not None and not (number.isdigit() and 1 <= int(number) <= MOST):
            raise ValueError(f"{name} from 1 to {MOST} is expected, found `{number}`")
    recurrence = Recurrence(
        rule=";".join(f"{key}={value}" for key, value in parts.items()),
        since=since,
        until=until,
        count=int(count) if count else None,
    )
    try:
        comes = ever(recurrence)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise ValueError(f"a rule of RFC 5545 like FREQ=MONTHLY;BYDAY=-1FR is expected, found `{text}`") from None
    if not comes:
        raise ValueError(f"a rule that has a day is expected, found `{text}`, which never comes")
    if until is not None and until < first_instant(since, zone(zone_name)):
        raise ValueError(f"an UNTIL that is not before the first start is expected, found `{text}`")
    return recurrence


def begins_with(recurrence: Recurrence) -> bool:
    """Whether the first day of a recurrence is one of its rule's: RFC 5545 leaves open what it means where it is not."""
    return next(starts_of(recurrence, recurrence.since, recurrence.since), None) is not None


def _recurrence(rule: str) -> Recurrence:
    return Recurrence(rule=rule, since=_ANCHOR)


def _parts_of(text: str) -> dict[str, str]:
    pairs = [it.partition("=") for it in re.sub(r"^RRULE:", "", text.strip().upper()).strip(";").split(";")]
    parts = {key.strip(): value.strip() for key, _, value in pairs}
    if "FREQ" not in parts or len(parts) != len(pairs) or not all(parts.values()):
        raise ValueError(f"a rule of RFC 5545 like FREQ=MONTHLY;BYDAY=-1FR is expected, found `{text}`")
    return parts


def _until(text: str, zone_name: str) -> float:
    """The last instant that UNTIL allows."""
    try:
        if text.endswith("Z"):
            utc = dt.datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.timezone.utc)
            return utc.timestamp()
        if "T" in text:
            return last_instant(dt.datetime.strptime(text, "%Y%m%dT%H%M%S"), zone(zone_name))
        day = dt.datetime.strptime(text, "%Y%m%d")
    except ValueError:
        raise ValueError(f"an UNTIL like 20261231 or 20261231T220000Z is expected, found `{text}`") from None
    return last_instant(day + dt.timedelta(hours=23, minutes=59, seconds=59), zone(zone_name))


def _nth(word: str) -> int | None:
    if word in _NTH:
        return _NTH[word]
    match = re.fullmatch(r"([1-5])(?:st|nd|rd|th)", word)
    return int(match[1]) if match else None


def _weekday(word: str, text: str) -> int:
    word = word.strip()
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    for n, name in enumerate(full):
        if word in (name, name[:3]):
            return n
    raise ValueError(f"{WORDS} are expected, found `{text}`")
