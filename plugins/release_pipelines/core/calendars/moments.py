"""A moment as people write it: a wall time and a zone, from which the instant is derived."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import NamedTuple

from release_pipelines.core.calendars.zones import first_instant, shown, zone


class Moment(NamedTuple):
    """An instant as Unix time in seconds, in words with its offset, and the zone of these.

    ``text`` is the moment as it is kept: a wall time and its zone.
    """

    at: float
    words: str
    zone: str
    text: str


class NeverShown(ValueError):
    """Clocks never show that time: they go forward at ``at``, a Unix time in seconds."""

    def __init__(self, sentence: str, at: float, where: str) -> None:
        super().__init__(sentence)
        self.at, self.zone = at, where


def moment_of(text: str, time_zone: str) -> Moment:
    """The instant of a wall time like ``2026-11-28 22:30`` or ``2026-11-28 22:30 Europe/Berlin``; or of ``2026-11-28T21:30:00Z``.

    Of a time that clocks show twice it is the first, and the words say so. One with an offset is shown in ``time_zone``.

    :param time_zone: where it holds if it names no zone.
    :raises NeverShown: clocks never show it.
    :raises ValueError: a sentence without its full stop: it is no such time.
    """
    joined = re.sub(r"\s+(?=([+-]\d\d:\d\d|[Zz])$)", "", text.strip())  # an offset belongs to its clock
    day, _, rest = re.sub(r"(?<=\d)[Tt](?=\d)", " ", joined).partition(" ")
    clock, _, name = rest.strip().partition(" ")
    try:
        wall = datetime.fromisoformat(f"{day} {re.sub('[Zz]$', '+00:00', clock)}")
    except ValueError:
        wall = None
    if wall is None or not clock or (wall.tzinfo is not None and name) or not 1970 <= wall.year < 9999:
        raise ValueError(f"a moment like `2026-11-28 22:30 Europe/Berlin` is expected, found `{text}`")
    if wall.tzinfo is not None:
        return _instant(wall, time_zone)
    where = name.strip() or time_zone
    first, second = (wall.replace(tzinfo=zone(where), fold=it) for it in (0, 1))
    at = first.astimezone(timezone.utc)
    if at.astimezone(zone(where)).replace(tzinfo=None) != wall:
        raise NeverShown(
            f"{day} {clock} does not exist in {where}: clocks go forward then", first_instant(wall, zone(where)), where
        )
    twice = first.utcoffset() != second.utcoffset()
    words = f"{shown(at.timestamp(), zone(where))} ({first.isoformat(timespec='minutes')[16:]})"
    return Moment(at.timestamp(), f"{words}, the first of two" if twice else words, where, f"{day} {clock} {where}")


def _instant(time: datetime, where: str) -> Moment:
    """A time that has its offset, in a zone; it is kept in UTC, where no clock shows a time twice."""
    here, utc = time.astimezone(zone(where)), time.astimezone(timezone.utc).replace(tzinfo=None)
    words = f"{shown(time.timestamp(), zone(where))} ({here.isoformat(timespec='minutes')[16:]})"
    return Moment(time.timestamp(), words, where, f"{utc.isoformat(' ').removesuffix(':00')} UTC")
