"""``release calendar``: windows, freezes, and when something may be released next."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_pipelines.cli.calendars_here import copies_in
from release_pipelines.cli.commands import spec_in_file
from release_pipelines.cli.schedule import plan_json
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    fail,
    history_or_none,
    iso,
    print_json,
    print_table,
    said_on_stderr,
)
from release_pipelines.core.model.units import lasting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from release_pipelines.core.calendars import Asked, Calendar, Entry, Span
    from release_pipelines.core.model.calendar_copy import CalendarCopy
    from release_pipelines.spec.release import ReleaseSpec

NEXT = 5
"""So many openings are shown."""
AHEAD = 92 * 86400.0
"""So far behind the next one they are looked for, in seconds."""


def calendar(
    app: Annotated[str, typer.Argument(metavar="APP", help="Default: one that no entry names.")] = "",
    environment: Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="Default: one that no entry names.")] = "",
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Tell whether the calendars of this project are open, their windows and freezes, when they open next, and what is planned.

    An app's tags and its last environment are those of its file.
    """
    from release_pipelines.core.calendars import Asked, remarks, too_short
    from release_pipelines.core.calendars.zones import rules_version
    from release_pipelines.spec.calendars import calendar_files
    from release_pipelines.spec.folders import calendars_folder

    folder = calendars_folder(Path.cwd()).absolute()
    files = calendar_files(folder)
    if not files:
        fail(f"{folder} has no calendars: files called <name>.yaml are expected; RELEASE_PIPELINES_CALENDARS names it.")
    spec = _spec(app)
    tags = (spec.app.part("tags", list) or []) if spec else []
    at, asked = time.time(), Asked(app, environment, frozenset(tags))
    history, plans = history_or_none(database), None
    copies = copies_in(lambda: history)
    calendars = [_read(it, copies, at) for it in files]
    told = list(dict.fromkeys(sentence for it, _ in calendars for sentence in remarks(it, at)))
    with said_on_stderr():
        if history:
            plans = history.plans(app or None)
        where = environment or (spec.production.name if spec else "")
        if app and where:
            took = history.durations(app, where) if history else []
            there = asked._replace(environment=where)
            told += [sentence for it, _ in calendars for sentence in too_short(it, there, took, at)]
    if as_json:
        facts = [_facts(*it, asked, at) for it in calendars]
        planned = None if plans is None else [plan_json(it) for it in plans]
        print_json({"zone_rules": rules_version(), "calendars": facts, "planned": planned, "remarks": told})
        return
    for it in calendars:
        _print(*it, asked, at)
    for plan in plans or []:
        print(f"Planned: {plan.app} {plan.version} in {plan.environment} for {plan.start_at} ({plan.release}).")
    for sentence in told:
        print(f"{sentence}.")
    print(f"Time zones by tzdata {rules_version()}.")


def _spec(app: str) -> ReleaseSpec | None:
    """The app's file here; None where it has none, or one with mistakes, which `release validate` tells."""
    try:
        return spec_in_file(app) if app else None
    except ValueError:
        return None


def _read(
    path: Path, copies: Callable[[], Mapping[str, CalendarCopy]], at: float
) -> tuple[Calendar, CalendarCopy | None]:
    """A calendar, and its last good copy where it is one that is fetched."""
    from release_pipelines.core.calendars import Calendar
    from release_pipelines.spec.copies import read_calendar, read_spec

    calendar, spec = read_calendar(path, copies, at), read_spec(path)
    copy = None if isinstance(spec, Calendar) or spec.source is None else copies().get(spec.name)
    return calendar, copy if copy and copy.source == calendar.source else None


def _facts(calendar: Calendar, copy: CalendarCopy | None, asked: Asked, at: float) -> dict[str, Any]:
    from release_pipelines.core.calendars import standing
    from release_pipelines.core.calendars.zones import zone_label

    now = standing([calendar], asked, at)
    return {
        "name": calendar.name,
        "time_zone": zone_label(calendar.zone),
        "source": calendar.source,
        "copy": {
            "checked_at": iso(copy.checked_at),
            "age_seconds": None if copy.checked_at is None else round(at - copy.checked_at),
            "fetched_at": iso(copy.fetched_at),
            "failed_at": iso(copy.failed_at),
            "mistake": copy.mistake,
        }
        if copy
        else None,
        "open": now.open,
        "sentence": now.sentence,
        "opens_at": iso(now.opens_at),
        "closes_at": iso(now.closes_at),
        "openings": [{"opens_at": _iso(it.start), "closes_at": _iso(it.end)} for it in _openings(calendar, asked, at)],
        "entries": [
            {
                "kind": it.kind,
                "name": it.name,
                "reason": it.reason,
                "time_zone": zone_label(it.zone),
                "apps": it.apps,
                "environments": it.environments,
                "tags": it.tags,
                "concerns": it.concerns(asked),
                "next": [{"begins_at": iso(span.start), "ends_at": iso(span.end)} for span in _next(it, at)],
            }
            for it in calendar.entries
        ],
    }


def _print(calendar: Calendar, copy: CalendarCopy | None, asked: Asked, at: float) -> None:
    from release_pipelines.core.calendars import standing
    from release_pipelines.core.calendars.zones import shown, zone

    def words(moment: float) -> str:
        return shown(moment, zone(calendar.zone)) if abs(moment) < float("inf") else ""

    print(f"{calendar.name} is {standing([calendar], asked, at).sentence}")
    if calendar.source is not None:
        age = f", as of {lasting(at - copy.checked_at)} ago" if copy and copy.checked_at is not None else ""
        print(f"From {calendar.source}{age}.")
    rows = []
    for entry in (it for it in calendar.entries if it.concerns(asked)):
        begins, ends = (words(it) for it in next(iter(_next(entry, at)), (float("inf"),) * 2))
        rows.append([entry.kind, entry.name, begins, ends, entry.reason or ""])
    rows += [["opening", "", words(it.start), words(it.end), ""] for it in _openings(calendar, asked, at)]
    if rows:
        print_table(("what", "name", "from", "to", "why"), rows)
    print()


def _next(entry: Entry, at: float) -> list[Span]:
    """The first occurrence that is not over; none where none is known within some years."""
    from release_pipelines.core.calendars.spans import spans

    for days in (40, 400, 4000, 15000):
        if found := spans(entry, at, at + days * 86400):
            return found[:1]
    return []


def _openings(calendar: Calendar, asked: Asked, at: float) -> list[Any]:
    from release_pipelines.core.calendars import openings, standing

    begin = standing([calendar], asked, at).opens_at or at
    return openings([calendar], asked, begin, begin + AHEAD)[:NEXT]


def _iso(moment: float) -> str | None:
    return iso(moment) if abs(moment) < float("inf") else None
