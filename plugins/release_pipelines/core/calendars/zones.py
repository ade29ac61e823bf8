"""Time zones by the rules of the pinned package ``tzdata``: one set of them in every process, whatever the system has."""

from __future__ import annotations

import base64
import difflib
import io
import re
import struct
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1)
_OFFSET = re.compile(r"(?:UTC|GMT)\s*([+-])\s*(\d{1,2})(?::?00)?", re.IGNORECASE)
NO_GAP = timedelta(0)


class UnknownZone(ValueError):
    """No time zone has that name; the sentence names the nearest one."""


class Change(NamedTuple):
    """From an instant on, as Unix time in seconds, clocks are ``offset`` seconds ahead of UTC."""

    at: float
    offset: int
    summer: bool
    abbreviation: str


@cache
def zone(name: str) -> ZoneInfo:
    """The rules of a time zone.

    :param name: a name of the IANA database, like ``Europe/Berlin``, or what :func:`own_zone` gave.
    :raises UnknownZone: with a guess.
    """
    label, own, rules = name.partition("\n")
    if own:
        return ZoneInfo.from_file(io.BytesIO(base64.b64decode(rules)), key=label)
    if name not in zone_names():
        raise UnknownZone(f"a time zone like Europe/Berlin is expected{guess(name)}")
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def zone_names() -> frozenset[str]:
    """All names of the IANA database."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())


def own_zone(label: str, first_offset: int, changes: Sequence[Change]) -> str:
    """The name of a zone that no database has: it holds the rules themselves, in the form of the database's files.

    :param label: what people call it.
    :param first_offset: seconds ahead of UTC before the first change.
    :param changes: in order.
    """
    kinds = list(dict.fromkeys([(first_offset, False, "LMT"), *(it[1:] for it in changes)]))
    names = "".join(f"{it[2]}\0" for it in kinds).encode()
    places = [len("".join(f"{it[2]}\0" for it in kinds[:n]).encode()) for n in range(len(kinds))]
    head = b"TZif2" + bytes(15)
    data = [
        head + struct.pack(">6l", 0, 0, 0, 0, 0, 0),
        head + struct.pack(">6l", 0, 0, 0, len(changes), len(kinds), len(names)),
        *(struct.pack(">q", int(it.at)) for it in changes),
        bytes(kinds.index(it[1:]) for it in changes),
        *(struct.pack(">lBB", it[0], it[1], place) for it, place in zip(kinds, places, strict=True)),
        names + b"\n\n",
    ]
    return f"{label}\n{base64.b64encode(b''.join(data)).decode()}"


def zone_label(name: str) -> str:
    """What people call a zone, also one that is not in the database."""
    return name.partition("\n")[0]


def rules_version() -> str:
    """The version of the rules, like ``2026f``."""
    import tzdata

    return str(tzdata.IANA_VERSION)


def guess(name: str) -> str:
    """What may have been meant by a name that is none, as the end of a sentence; empty where nothing is like it."""
    if offset := _OFFSET.fullmatch(name.strip()):
        turned = "-" if offset[1] == "+" else "+"
        hours = int(offset[2])
        meant = f"Etc/GMT{turned}{hours}" if hours else "UTC"
        return f"; did you mean `{meant}`?" if meant in zone_names() else ""
    word = name.strip().replace(" ", "_").lower()
    by_word = {it.lower(): it for it in sorted(zone_names())}
    cities = {it.rpartition("/")[2].lower(): it for it in sorted(zone_names())}
    for known in (by_word, cities):
        if close := difflib.get_close_matches(word, known, n=1, cutoff=0.75):
            return f"; did you mean `{known[close[0]]}`?"
    return ""


def first_instant(wall: datetime, rules: tzinfo) -> float:
    """The first instant at which clocks show ``wall``; that of the change where they never do.

    :param wall: what clocks show, without a zone.
    :returns: Unix time in seconds.
    """
    return _instant(wall, rules, first=True)


def last_instant(wall: datetime, rules: tzinfo) -> float:
    """The last instant at which clocks show ``wall``; that of the change where they never do."""
    return _instant(wall, rules, first=False)


def first_instant_at(wall: float, rules: tzinfo) -> float:
    """:func:`first_instant` of a wall time in seconds since clocks showed 1970: most days have no change, and are known by then."""
    offset = _offset_of_day(wall // 86400, rules)
    return wall - offset if offset is not None else first_instant(EPOCH + timedelta(seconds=wall), rules)


def last_instant_at(wall: float, rules: tzinfo) -> float:
    """:func:`last_instant` likewise."""
    offset = _offset_of_day(wall // 86400, rules)
    return wall - offset if offset is not None else last_instant(EPOCH + timedelta(seconds=wall), rules)


def exists(wall: datetime, rules: tzinfo) -> bool:
    """Whether clocks ever show ``wall``."""
    before, after = _offsets(wall, rules)
    return before >= after


def wall_clock(at: float, rules: tzinfo) -> datetime:
    """What clocks show at an instant, without the zone."""
    return datetime.fromtimestamp(at, timezone.utc).astimezone(rules).replace(tzinfo=None)


def shown(at: float, rules: tzinfo) -> str:
    """An instant for readers: ``Fri 27 Nov 2026 13:02 CET``; with seconds where there are any."""
    local = datetime.fromtimestamp(at, timezone.utc).astimezone(rules)
    clock = "%H:%M:%S" if local.second or local.microsecond else "%H:%M"
    return local.strftime(f"%a %-d %b %Y {clock} %Z")


def disagreement(name: str, at: float) -> str | None:
    """A sentence where the system's files say something else about a zone than the package does, within two years after ``at``.

    None where both agree, or the system has no such files.
    """
    from zoneinfo import TZPATH

    if name not in zone_names():
        return None
    for folder in TZPATH:
        try:
            with open(f"{folder}/{name}", "rb") as file:
                system = ZoneInfo.from_file(file, key=name)
        except (OSError, ValueError):
            continue
        ours = zone(name)
        for day in range(730):
            moment = datetime.fromtimestamp(at + 86400 * day, timezone.utc)
            if moment.astimezone(ours).utcoffset() != moment.astimezone(system).utcoffset():
                return (
                    f"{name}: the files in {folder} know other rules than tzdata {rules_version()}, which counts here: on "
                    f"{moment:%-d %b %Y} they say {moment.astimezone(system):%z} instead of {moment.astimezone(ours):%z}"
                )
        return None
    return None


@lru_cache(maxsize=50_000)
def _offset_of_day(day: float, rules: tzinfo) -> float | None:
    """The offset from UTC on a day since 1970 by the wall, in seconds; None where clocks change on it."""
    midnight = EPOCH + timedelta(days=day)
    found = {it for hours in (0, 12, 24) for it in _offsets(midnight + timedelta(hours=hours), rules)}
    return found.pop().total_seconds() if len(found) == 1 else None


def _offsets(wall: datetime, rules: tzinfo) -> tuple[timedelta, timedelta]:
    before = wall.replace(tzinfo=rules, fold=0).utcoffset()
    after = wall.replace(tzinfo=rules, fold=1).utcoffset()
    return before or NO_GAP, after or NO_GAP


def _instant(wall: datetime, rules: tzinfo, first: bool) -> float:
    before, after = _offsets(wall, rules)
    seconds = (wall - EPOCH).total_seconds()
    if before >= after:
        return seconds - (before if first else after).total_seconds()
    return _change(seconds - after.total_seconds(), seconds - before.total_seconds(), rules)


def _change(low: float, high: float, rules: tzinfo) -> float:
    """The instant between the two at which the offset changes."""
    old = _offset_at(low, rules)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset_at(middle, rules) == old else (low, middle)
    return float(int(high))


def _offset_at(at: float, rules: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(at, timezone.utc).astimezone(rules).utcoffset()
