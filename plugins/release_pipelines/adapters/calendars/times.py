"""Dates, times and durations of RFC 5545 as wall times with a zone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from release_pipelines.adapters.calendars.lines import Mistake, Property, plain
from release_pipelines.adapters.calendars.zones import Zones
from release_pipelines.core.calendars.model import Length
from release_pipelines.core.calendars.zones import first_instant, last_instant, zone

DAY = 86400
_TIME = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,6})W|(?:(\d{1,6})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,8})M)?(?:(\d{1,8})S)?)?)", re.ASCII
)


class Time(NamedTuple):
    """A wall time in a zone; of an all-day value the midnight. A floating one has no zone of its own: ``zone`` is None."""

    wall: datetime
    zone: str | None
    all_day: bool
    said: str

    def first(self, default: str) -> float:
        """The first instant at which clocks show it, as Unix time in seconds."""
        return first_instant(self.wall, zone(self.zone or default))

    def last(self, default: str) -> float:
        """The last one."""
        return last_instant(self.wall, zone(self.zone or default))


def times_in(given: Property, zones: Zones) -> list[Time]:
    """The dates or times of a property, which are apart by commas.

    :raises Mistake: where one of them is none, or its zone is not known.
    """
    kind = given.parameter("VALUE").upper()
    return [_time(given.name, it.strip(), kind, given.parameter("TZID"), zones) for it in given.value.split(",")]


def time_in(given: Property, zones: Zones) -> Time:
    """The one date or time of a property.

    :raises Mistake: where it is none.
    """
    found = times_in(given, zones)
    if len(found) > 1:
        raise Mistake(f"{given.name} with one time is expected, found {len(found)}")
    return found[0]


def duration(name: str, text: str) -> Length:
    """How long something is: days and weeks on the wall clock, hours, minutes and seconds exactly.

    :raises Mistake: where it is no duration above zero.
    """
    match = _DURATION.fullmatch(text.strip().upper())
    if not match or not any(match.groups()[1:]):
        raise Mistake(f"{name} like PT8H or P1D is expected, found `{plain(text, 40)}`")
    weeks, days, hours, minutes, seconds = (int(it or 0) for it in match.groups()[1:])
    length = Length(wall=(7 * weeks + days) * DAY, exact=hours * 3600 + minutes * 60 + seconds)
    if match[1] == "-" or not (length.wall or length.exact):
        raise Mistake(f"a {name} above zero is expected, found `{plain(text, 40)}`")
    return length


def periods_in(given: Property, zones: Zones) -> list[tuple[Time, Time | Length]]:
    """The periods of an RDATE: each with its end or its length.

    :raises Mistake: where one of them is none.
    """
    found: list[tuple[Time, Time | Length]] = []
    for text in given.value.split(","):
        start, slash, end = text.strip().partition("/")
        if not slash:
            raise Mistake(
                f"{given.name} with periods like 20261224T220000Z/PT8H is expected, found `{plain(text, 40)}`"
            )
        zone_name = given.parameter("TZID")
        begins = _time(given.name, start, "DATE-TIME", zone_name, zones)
        behind: Time | Length = (
            duration(given.name, end)
            if end[:2].upper().lstrip("+-").startswith("P")
            else _time(given.name, end, "DATE-TIME", zone_name, zones)
        )
        found.append((begins, behind))
    return found


def length_until(start: Time, end: Time, default: str) -> Length:
    """How long something is that ends at a wall time. Kept on the wall clock where both are in one zone, else exactly so long.

    :param default: the zone of times that have none.
    :raises Mistake: where the end is not behind the start.
    """
    if start.all_day != end.all_day:
        raise Mistake(f"dates, or times, in both DTSTART and DTEND are expected, found `{start.said}` and `{end.said}`")
    between = end.wall - start.wall
    if start.all_day and not between:
        return Length(wall=DAY)
    same = (start.zone or default) == (end.zone or default)
    exact = end.last(default) - start.first(default)
    if between <= timedelta() if same else exact <= 0:
        raise Mistake(f"a DTEND behind DTSTART is expected, found `{end.said}` and `{start.said}`")
    return Length(wall=between.total_seconds()) if same else Length(exact=exact)


def _time(name: str, text: str, kind: str, zone_name: str, zones: Zones) -> Time:
    match = _TIME.fullmatch(text.upper())
    expected = "a date like 20261224" if kind == "DATE" else "a time like 20261224T220000"
    if not match or (kind == "DATE" and match[2]) or (kind == "DATE-TIME" and not match[2]):
        raise Mistake(f"{name} with {expected} is expected, found `{plain(text, 40)}`")
    try:
        wall = datetime.strptime(match[1] + (match[2] or "000000"), "%Y%m%d%H%M%S")
    except ValueError:
        raise Mistake(f"{name} with {expected} is expected, found `{text}`, which is none") from None
    if not 1500 <= wall.year <= 8999:
        raise Mistake(f"{name} with a year from 1500 to 8999 is expected, found `{text}`")
    if match[2] is None:
        return Time(wall, None, True, text)
    if match[3]:
        return Time(wall, "UTC", False, text)
    return Time(wall, zones.named(zone_name) if zone_name else None, False, text)
