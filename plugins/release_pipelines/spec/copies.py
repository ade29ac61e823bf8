"""Calendars whose entries are not in their own file: iCalendar files beside it, and copies of what is kept elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release_pipelines.core.calendars.model import Calendar, Entry
from release_pipelines.core.calendars.zones import shown, zone
from release_pipelines.core.model.units import lasting
from release_pipelines.spec.loader import SpecError

if TYPE_CHECKING:
    from release_pipelines.core.model.calendar_copy import CalendarCopy
    from release_pipelines.spec.calendars import CalendarSpec

DAG_ID = "release_calendars"
"""The DAG that fetches calendars."""
EVERY_MINUTES = 5
"""So often it does."""


class IcsError(SpecError):
    """A mistake in an iCalendar; ``str()`` is one sentence."""

    def __init__(self, file: str, sentence: str) -> None:
        super().__init__(file, "", sentence, "")
        self.sentence = sentence

    def __str__(self) -> str:
        return f"{self.file}: {self.sentence}"


def read_calendar(path: Path, copies: Callable[[], Mapping[str, CalendarCopy]], now: float) -> Calendar:
    """One calendar; where it cannot be read, one that says why and is closed.

    :param copies: gives the last good copies of calendars that are kept elsewhere, by name.
    :param now: Unix time in seconds.
    """
    spec = read_spec(path)
    if isinstance(spec, Calendar):
        return spec
    return calendar_of_copy(spec, copies().get(spec.name), now) if spec.source else read_here(spec, path.parent)


def read_spec(path: Path) -> CalendarSpec | Calendar:
    """What stands in a calendar's file; where that is a mistake, a calendar that says so and is closed."""
    from release_pipelines.spec.calendars import load_spec

    try:
        return load_spec(path)
    except SpecError as error:
        return Calendar(name=path.stem, broken=str(error))


def read_here(spec: CalendarSpec, folder: Path) -> Calendar:
    """The calendar that is in files here; where it cannot be read, one that says why and is closed."""
    try:
        return calendar_of_file(spec, folder) if spec.file else spec.calendar()
    except SpecError as error:
        return Calendar(name=spec.name, zone=spec.time_zone or "UTC", source=spec.file, broken=str(error))


def calendar_of_file(spec: CalendarSpec, folder: Path) -> Calendar:
    """The calendar of an iCalendar file.

    :raises SpecError: for the first mistake in it, with the others in ``also``.
    """
    from release_pipelines.adapters.calendars.lines import MOST_BYTES

    path = folder / str(spec.file)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(
            f"{spec.name}.yaml", "ics", f"`{spec.file}`, which is no file", f"a file in {folder.name}/"
        ) from None
    except OSError as error:
        raise SpecError(path.name, "", error.strerror or "an unreadable file", "a file that can be read") from None
    if len(content) > MOST_BYTES:
        raise IcsError(path.name, f"a calendar of at most {MOST_BYTES:,} bytes is expected")
    return _calendar(spec, path.name, content)


def calendar_of_copy(spec: CalendarSpec, copy: CalendarCopy | None, now: float) -> Calendar:
    """The calendar by the last good copy of what is kept elsewhere; closed where there is none, or it is too old.

    :param copy: None: there is none. One from another source than the file names now is none, too.
    :param now: Unix time in seconds.
    """
    facts: dict[str, Any] = {"name": spec.name, "zone": spec.time_zone or "UTC", "source": spec.source}
    if copy is None or copy.source != spec.source:
        return Calendar(
            **facts, broken=f"it has not been fetched yet: the DAG {DAG_ID} does that every {EVERY_MINUTES} minutes"
        )
    failing = f"fetching it has failed since {_when(copy.failed_at)}: {copy.mistake}" if copy.mistake else None
    if copy.content is None or copy.checked_at is None:
        return Calendar(**facts, broken=f"it was never fetched: {failing or copy.mistake}")
    until = copy.checked_at + spec.max_age
    if now > until:
        why = failing or f"the DAG {DAG_ID} has not looked since: is it paused?"
        old = f"its last good copy of {_when(copy.checked_at)} is older than {lasting(spec.max_age)} (`max_age`)"
        return Calendar(**facts, broken=f"{old}; {why}")
    calendar = _parsed(spec, copy.content)
    troubles = [f"{failing}; the copy of {_when(copy.checked_at)} counts until {_when(until)}"] if failing else []
    troubles += [copy.remark] if copy.remark else []
    return calendar.model_copy(update={"source": spec.source, "trouble": "; ".join(troubles)}) if troubles else calendar


@lru_cache(maxsize=64)
def _parsed(spec: CalendarSpec, content: str) -> Calendar:
    """A copy, once for each of its states: what was worked out about it is kept with it."""
    try:
        return _calendar(spec, spec.name, content).model_copy(update={"source": spec.source})
    except SpecError as error:
        return Calendar(name=spec.name, zone=spec.time_zone or "UTC", source=spec.source, broken=str(error))


def _calendar(spec: CalendarSpec, file: str, content: str | bytes) -> Calendar:
    from release_pipelines.adapters.calendars.ics import TYPES, Unreadable, read_ics
    from release_pipelines.adapters.calendars.lines import NoCalendar

    kind = None if spec.aws else TYPES["DEFAULT_CLOSED" if spec.events == "windows" else "DEFAULT_OPEN"]
    scope = {"apps": spec.apps, "environments": spec.environments, "tags": spec.tags}
    try:
        read = read_ics(content, kind=kind, zone_name=spec.time_zone, scope=scope, at=time.time())
    except NoCalendar as error:
        raise IcsError(file, str(error)) from None
    except Unreadable as error:
        mistakes = [IcsError(file, it) for it in error.mistakes]
        mistakes[0].also = [*mistakes[1:]]
        raise mistakes[0] from None
    zone_name, entries = spec.time_zone or read.zone or "UTC", read.entries
    if read.kind == "window" and not entries:  # where there is no window at all it is closed, not open
        entries = (Entry(kind="window", name="no window", zone=zone_name, **scope),)
    return Calendar(name=spec.name, zone=zone_name, entries=entries, notes=read.notes, source=file)


def _when(at: float | None) -> str:
    return shown(round(at or 0.0), zone("UTC"))
