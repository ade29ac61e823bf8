"""What a calendar means by the names of its time zones.

A name of the IANA database counts by the rules that count everywhere here, also one that Windows or a vendor's prefix hides; a file's own
description is another copy of them that nobody renews. Where a name says nothing of a place, like ``GMT`` or a word of its own, the file's
description counts.
"""

from __future__ import annotations

import difflib
import re
from datetime import datetime, timedelta
from itertools import islice

from release_pipelines.adapters.calendars.lines import Component, Mistake, plain
from release_pipelines.core.calendars.zones import EPOCH, Change, first_instant, guess, own_zone, zone, zone_names

LAST_YEAR = 2100
"""So far a described zone's changes are worked out."""
MOST_CHANGES = 5000
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})(\d{2})?", re.ASCII)
_WORDS = {
    "mitteleurop": "Europe/Berlin",
    "westeurop": "Europe/Lisbon",
    "osteurop": "Europe/Athens",
    "europe central": "Europe/Paris",
}
"""What Windows calls some zones in other languages."""


class Zones:
    """The zones of one calendar.

    :param calendar: the component ``VCALENDAR``.
    :param default: where its times without a zone hold; None: where its ``X-WR-TIMEZONE`` says.
    """

    def __init__(self, calendar: Component, default: str | None) -> None:
        self._descriptions = {
            plain(it.all("TZID")[0].value): it for it in calendar.parts("VTIMEZONE") if it.all("TZID")
        }
        self._said = next((it.value.strip() for it in calendar.all("X-WR-TIMEZONE")), "")
        self._given = default
        self._named: dict[str, str] = {}
        self._differ: dict[str, bool] = {}
        self.doubtful: dict[str, tuple[str, str]] = {}
        """Zones of entries, with what the file calls them, and the other rules that may be meant."""

    @property
    def default(self) -> str:
        """The zone of times that have none.

        :raises Mistake: where nothing says it.
        """
        if self._given:
            return self._given
        if self._said:
            return self.named(self._said)
        raise Mistake(
            "a time with a zone is expected, found one without, and neither `time_zone` of the calendar nor X-WR-TIMEZONE says where it holds"
        )

    @property
    def shown(self) -> str | None:
        """The zone in which people read the calendar; None: nothing says it."""
        try:
            return self.default
        except Mistake:
            return None

    def named(self, name: str) -> str:
        """The zone that a name means.

        :raises Mistake: where nobody knows it, with a guess.
        """
        key = plain(name)
        if key not in self._named:
            self._named[key] = self._meant(key)
        return self._named[key]

    def differ(self, counts: str, start: float, end: float) -> bool:
        """Whether a doubtful zone's two sets of rules say something else on some day between two Unix times in seconds."""
        if counts not in self._differ:
            one, other = zone(counts), zone(self.doubtful[counts][1])
            days = (EPOCH + timedelta(seconds=it) for it in range(int(start), int(end), 86400))
            self._differ[counts] = any(
                it.replace(tzinfo=one).utcoffset() != it.replace(tzinfo=other).utcoffset() for it in days
            )
        return self._differ[counts]

    def _meant(self, name: str) -> str:
        description = self._descriptions.get(name)
        known = database_name(name)
        if known is None and description is not None:
            place = next((it.value.strip() for it in description.all("X-LIC-LOCATION")), "")
            known = place if place in zone_names() else None
        own = None
        if description is not None:
            try:
                own = described(name, description)
            except Mistake:
                if known is None:
                    raise
        if known is None and own is None:
            raise Mistake(
                f"`{name}` is no time zone that anybody knows: one like Europe/Berlin is expected{_guess(name)}"
            )
        if known is None or own is None:
            return known or own or ""
        counts, other = (known, own) if "/" in known else (own, known)
        self.doubtful[counts] = (name, other)
        return counts


def database_name(name: str) -> str | None:
    """The name in the IANA database that a calendar's name means; None: none."""
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    tail = name.strip("/").split("/")
    named = [name, *("/".join(tail[-n:]) for n in (3, 2))] if name.startswith("/") else [name]
    named.append(WINDOWS_TO_OLSON.get(name, ""))
    return next((it for it in named if it in zone_names()), None)


def described(name: str, description: Component) -> str | None:
    """The zone that a ``VTIMEZONE`` describes; None where it describes nothing.

    :raises Mistake: where it cannot be read.
    """
    changes: list[tuple[Change, int]] = []
    for part in (it for it in description.components if it.name in ("STANDARD", "DAYLIGHT")):
        before, offset = _offset(name, part, "TZOFFSETFROM"), _offset(name, part, "TZOFFSETTO")
        word = next((it.text for it in part.all("TZNAME")), "")
        abbreviation = re.sub(r"[^\w+-]", "", word)[:10] or _in_words(offset)
        for wall in _onsets(name, part, before):
            at = (wall - EPOCH).total_seconds() - before
            changes.append((Change(at, offset, part.name == "DAYLIGHT", abbreviation), before))
    if not changes:
        return None
    changes.sort(key=lambda it: it[0].at)
    if len({it[0][1:] for it in changes}) > 20:
        raise Mistake(f"a VTIMEZONE with fewer kinds of times is expected, found `{name}`")
    return own_zone(name, changes[0][1], [it for it, _ in changes])


def differing(walls: list[datetime], one: str, other: str) -> tuple[float, float] | None:
    """The first of wall times that is another instant in another zone, as Unix times in seconds in both; None: there is none."""
    for wall in walls:
        found = first_instant(wall, zone(one)), first_instant(wall, zone(other))
        if found[0] != found[1]:
            return found
    return None


def _onsets(name: str, part: Component, before: int) -> list[datetime]:
    """The wall times at which a kind of time begins."""
    from dateutil.rrule import rrulestr

    start = _onset(name, next((it.value for it in part.all("DTSTART")), ""))
    found = {start}
    for given in part.all("RDATE"):
        found |= {_onset(name, it.partition("/")[0]) for it in given.value.split(",")}
    for given in part.all("RRULE"):
        parts = dict(it.partition("=")[::2] for it in given.value.strip().strip(";").upper().split(";"))
        until = parts.pop("UNTIL", None)
        last = datetime(LAST_YEAR, 1, 1)
        if until is not None:
            last = min(last, _onset(name, until) + timedelta(seconds=before if until.endswith("Z") else 0))
        try:
            if parts.get("FREQ") not in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY"):
                raise ValueError
            rule = rrulestr(";".join(f"{key}={value}" for key, value in parts.items()), dtstart=start).replace(
                until=last
            )
            found |= set(islice(rule, MOST_CHANGES))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            raise Mistake(
                f"a VTIMEZONE with a rule of years is expected, found `{plain(given.value, 60)}` in `{name}`"
            ) from None
    return sorted(found)


def _onset(name: str, text: str) -> datetime:
    value = text.strip().upper().removesuffix("Z")
    try:
        return datetime.strptime(value, "%Y%m%dT%H%M%S" if "T" in value else "%Y%m%d")
    except ValueError:
        found = f"`{plain(text, 40)}` in `{name}`"
        raise Mistake(f"a VTIMEZONE with times like 20261025T030000 is expected, found {found}") from None


def _offset(name: str, part: Component, key: str) -> int:
    text = next((it.value.strip() for it in part.all(key)), "")
    match = _OFFSET.fullmatch(text)
    seconds = int(match[2]) * 3600 + int(match[3]) * 60 + int(match[4] or 0) if match else 86400
    if match is None or seconds >= 86400:
        raise Mistake(f"a VTIMEZONE with a {key} like +0100 is expected, found `{plain(text, 20)}` in `{name}`")
    return -seconds if match[1] == "-" else seconds


def _in_words(offset: int) -> str:
    return f"{'-' if offset < 0 else '+'}{abs(offset) // 3600:02}{abs(offset) // 60 % 60:02}"


def _guess(name: str) -> str:
    """What may have been meant, as the middle of a sentence."""
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    if said := guess(name):
        return said
    lower = name.lower()
    words = set(re.findall(r"[^\W\d_]{4,}", lower))
    cities = {it.rpartition("/")[2].lower(): it for it in sorted(zone_names()) if "/" in it}
    close = difflib.get_close_matches(name, WINDOWS_TO_OLSON, n=1, cutoff=0.75)
    found = (
        next((it for word, it in _WORDS.items() if word in lower), None)
        or next((cities[it] for it in sorted(words & cities.keys())), None)
        or (WINDOWS_TO_OLSON[close[0]] if close else None)
    )
    return f"; did you mean `{found}`?" if found else ""
