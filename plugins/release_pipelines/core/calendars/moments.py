"""A moment as people write it: a wall time and a zone, from which the instant is derived."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import NamedTuple

from release_pipelines.core.calendars.zones import shown, zone


class Moment(NamedTuple):
    """An instant as Unix time in seconds, and in words with its offset."""

    at: float
    words: str


def moment_of(text: str, time_zone: str) -> Moment:
    """The instant of a wall time like ``2026-11-28 22:30`` or ``2026-11-28 22:30 Europe/Berlin``.

    Of a time that clocks show twice it is the first, and the words say so.

    :param time_zone: where it holds if it names no zone.
    :raises ValueError: a sentence without its full stop: it is no such time, or clocks never show it.
    """
    day, _, rest = re.sub(r"(?<=\d)T(?=\d)", " ", text.strip()).partition(" ")
    clock, _, name = rest.strip().partition(" ")
    try:
        wall = datetime.fromisoformat(f"{day} {clock}")
    except ValueError:
        wall = None
    if wall is None or wall.tzinfo is not None or not clock:
        raise ValueError(f"a moment like `2026-11-28 22:30 Europe/Berlin` is expected, found `{text}`")
    where = name.strip() or time_zone
    first, second = (wall.replace(tzinfo=zone(where), fold=it) for it in (0, 1))
    at = first.astimezone(timezone.utc)
    if at.astimezone(zone(where)).replace(tzinfo=None) != wall:
        raise ValueError(f"{day} {clock} does not exist in {where}: clocks go forward then")
    twice = first.utcoffset() != second.utcoffset()
    words = f"{shown(at.timestamp(), zone(where))} ({first.isoformat(timespec='minutes')[16:]})"
    return Moment(at.timestamp(), f"{words}, the first of two" if twice else words)
