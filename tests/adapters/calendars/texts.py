"""iCalendar texts for tests."""

from __future__ import annotations

from datetime import datetime, timezone

from release_pipelines.adapters.calendars.ics import Read, read_ics
from release_pipelines.core.calendars.spans import spans

NOW = datetime(2026, 11, 27, 12, tzinfo=timezone.utc).timestamp()


def at(text: str) -> float:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc).timestamp()


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%MZ")


def event(*lines: str, uid: str = "1@example.org", summary: str = "freeze") -> str:
    return "\n".join(["BEGIN:VEVENT", f"UID:{uid}", f"SUMMARY:{summary}", *lines, "END:VEVENT"])


def ics(*parts: str) -> str:
    """A calendar with the line ends that RFC 5545 asks for."""
    text = "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//example//EN", *parts, "END:VCALENDAR", ""])
    return text.replace("\n", "\r\n")


def read(*parts: str, zone: str | None = "Europe/Berlin", kind: str = "freeze", now: float = NOW) -> Read:
    return read_ics(ics(*parts), kind=kind, zone_name=zone, at=now)


def times(found: Read, start: str, end: str) -> list[str]:
    """The occurrences that overlap a time, in order."""
    every = sorted(span for entry in found.entries for span in spans(entry, at(start), at(end)))
    return [f"{iso(it.start)}/{iso(it.end)}" for it in every]


def starts(found: Read, start: str = "2026-01-01T00:00Z", end: str = "2027-01-01T00:00Z") -> list[str]:
    return [it.split("/")[0] for it in times(found, start, end)]


def described(name: str, hours: int) -> str:
    """A VTIMEZONE with summer time by the rules of the European Union, in local times as Windows writes them."""

    def part(kind: str, month: int, clock: str, before: int, after: int) -> list[str]:
        return [
            f"BEGIN:{kind}",
            f"DTSTART:16010101T{clock}",
            f"TZOFFSETFROM:+{before:02}00",
            f"TZOFFSETTO:+{after:02}00",
            f"RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH={month}",
            f"END:{kind}",
        ]

    return "\n".join(
        [
            "BEGIN:VTIMEZONE",
            f"TZID:{name}",
            *part("STANDARD", 10, f"{hours + 2:02}0000", hours + 1, hours),
            *part("DAYLIGHT", 3, f"{hours + 1:02}0000", hours, hours + 1),
            "END:VTIMEZONE",
        ]
    )
