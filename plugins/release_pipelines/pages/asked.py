"""What pages are asked for in their addresses: zones and days. What is none gets a sentence."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from release_pipelines.core.calendars.zones import UnknownZone
from release_pipelines.core.calendars.zones import zone as rules
from release_pipelines.pages.access import Refused

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def zone_of(name: str) -> ZoneInfo:
    """The rules of a zone.

    :param name: empty: UTC.
    :raises Refused: there is none of that name.
    """
    if "\n" in name:  # no name of a database, but rules that somebody wrote
        raise Refused(400, "zone: a time zone like Europe/Berlin is expected.")
    try:
        return rules(name or "UTC")
    except UnknownZone as error:
        raise Refused(400, f"zone: {error}, found `{name[:40]}`.") from None


def day_of(name: str, text: str) -> date:
    """A day.

    :param name: of the parameter.
    :raises Refused: it is none.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise Refused(400, f"{name}: a day like 2026-11-01 is expected, found `{text[:40]}`.") from None
