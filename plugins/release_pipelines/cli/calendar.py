"""``release calendar``: windows, freezes, and when something may be released next."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_pipelines.cli.calendars_here import copies_in
from release_pipelines.cli.commands import spec_in_file
from release_pipelines.cli.known import guess
from release_pipelines.cli.schedule import plan_json
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
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

    from release_pipelines.adapters.history import History
    from release_pipelines.core.calendars import Asked, Calendar, Entry, Span
    from release_pipelines.core.model.calendar_copy import CalendarCopy
    from release_pipelines.core.model.window import WindowRule
    from release_pipelines.core.outlook import Outlook
    from release_pipelines.spec.release import ReleaseSpec

NEXT = 5
"""So many openings are shown."""
AHEAD = 92 * 86400.0
"""So far behind the next one they are looked for, in seconds."""


def calendar(
    app: Annotated[str, typer.Argument(metavar="APP", help="Default: one that no entry names.")] = "",
    environment: Annotated[
        str,
        typer.Argument(
            metavar="ENVIRONMENT", help="Default: the app's last one; without an app one that no entry names."
        ),
    ] = "",
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Tell whether an app may be released by the calendars that it keeps to, and of each calendar of this project whether it is open, its windows and freezes, when it opens next, and what is planned.

    An app's tags and its last environment are those of its file.
    """
    from release_pipelines.core.calendars import Asked, remarks, too_short
    from release_pipelines.core.calendars.zones import rules_version
    from release_pipelines.spec.calendars import calendar_files
    from release_pipelines.spec.folders import calendars_folder
    from release_pipelines.spec.windows import window_rule

    folder = calendars_folder(Path.cwd()).absolute()
    files = calendar_files(folder)
    if not files:
        fail(f"{folder} has no calendars: files called <name>.yaml are expected; RELEASE_PIPELINES_CALENDARS names it.")
    with errors_as_sentences():
        spec = spec_in_file(app) if app in _app_names() else None
    history, plans, took = history_or_none(database), None, None
    at, copies = time.time(), copies_in(lambda: history)
    calendars = [_read(it, copies, at) for it in files]
    _check_names(app, environment, spec, [it for it, _ in calendars], history)
    tags = (spec.app.part("tags", list) or []) if spec else []
    asked = Asked(app, environment or (spec.production.name if spec else ""), frozenset(tags))
    told = list(dict.fromkeys(sentence for it, _ in calendars for sentence in remarks(it, at)))
    with said_on_stderr():
        if history:
            plans = history.plans(app or None)
            took = history.durations(app, asked.environment) if app and asked.environment else None
    if took is not None:
        told += [sentence for it, _ in calendars for sentence in too_short(it, asked, took, at)]
    rule = window_rule(spec, asked.environment) if spec else None
    outlook = _outlook(rule, asked, folder, copies, at) if rule else None
    if as_json:
        facts = [_facts(*it, asked, at) for it in calendars]
        planned = None if plans is None else [plan_json(it) for it in plans]
        print_json(
            {
                "zone_rules": rules_version(),
                "outlook": _outlook_json(rule, outlook) if rule and outlook else None,
                "calendars": facts,
                "planned": planned,
                "remarks": told,
            }
        )
        return
    if rule and outlook:
        print(f"{outlook.sentence} It keeps to {', '.join(rule.calendars)}: all of them have to be open.\n")
    elif spec:
        last = spec.production.name
        own = f": its own count in {last}" if spec.app.part("calendars", list) and asked.environment != last else ""
        print(f"{app} keeps to no calendar in {asked.environment}{own}.\n")
    for it in calendars:
        _print(*it, asked, at)
    for plan in plans or []:
        print(f"Planned: {plan.app} {plan.version} in {plan.environment} for {plan.start_at} ({plan.release}).")
    if not plans:
        print("What is planned is not known: no history answers." if plans is None else "Nothing is planned.")
    for sentence in told:
        print(f"{sentence}.")
    print(f"Time zones by tzdata {rules_version()}.")


def _app_names() -> list[str]:
    from release_pipelines.spec.folders import apps_folder
    from release_pipelines.spec.release import app_files

    return [it.stem for it in app_files(apps_folder(Path.cwd()))]


def _check_names(
    app: str, environment: str, spec: ReleaseSpec | None, calendars: Sequence[Calendar], history: History | None
) -> None:
    """End with a sentence where nobody knows the app or the environment: by a name that no freeze has everything is open."""
    from release_pipelines.spec.folders import config_folder
    from release_pipelines.spec.release import app_files

    entries = [entry for it in calendars for entry in it.entries]
    if app and spec is None:
        known = {*_app_names(), *(name for it in entries for name in it.apps or ())}
        with said_on_stderr():
            known |= set(history.apps()) if history else set()
        if app not in known:
            there = "no file, no entry of a calendar and no release in a history"
            fail(f"No app {app} is known: {there} is called so.{guess(app, known)}")
    if environment and spec is not None:
        names = [it.name for it in spec.environments]
        if environment not in names:
            fail(f"{app} does not go to {environment}: one of {', '.join(names)} is expected.")
    elif environment:
        files = {it.stem for it in app_files(config_folder(Path.cwd()))} - {"base"}
        known = {*files, *(name for it in entries for name in it.environments or ())}
        if known and environment not in known:
            fail(
                f"No environment {environment} is known: no file and no entry of a calendar names it.{guess(environment, known)}"
            )


def _outlook(
    rule: WindowRule, asked: Asked, folder: Path, copies: Callable[[], Mapping[str, CalendarCopy]], at: float
) -> Outlook:
    """May the app be released now, by the calendars that it keeps to; one of them that is not there is closed."""
    from release_pipelines.core.calendars import standing
    from release_pipelines.core.outlook import outlook
    from release_pipelines.spec.copies import read_calendar

    kept = [read_calendar(folder / f"{name}.yaml", copies, at) for name in rule.calendars]
    return outlook(rule, partial(standing, kept, asked), at)


def _outlook_json(rule: WindowRule, outlook: Outlook) -> dict[str, Any]:
    return {
        "app": rule.app,
        "environment": rule.environment,
        "calendars": rule.calendars,
        "may_begin": outlook.may_begin,
        "sentence": outlook.sentence,
        "latest_at": iso(outlook.latest_at),
        "next_at": iso(outlook.next_at),
    }


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
        if abs(moment) < float("inf"):
            return shown(moment, zone(calendar.zone))
        return "always" if moment < 0 else "no end known"

    print(f"{calendar.name} is {standing([calendar], asked, at).sentence}")
    if calendar.source is not None:
        age = f", as of {lasting(at - copy.checked_at)} ago" if copy and copy.checked_at is not None else ""
        print(f"From {calendar.source}{age}.")
    rows = []
    for entry in (it for it in calendar.entries if it.concerns(asked)):
        for span in _next(entry, at):  # what does not come again has no row
            rows.append([entry.kind, entry.name, words(span.start), words(span.end), entry.reason or ""])
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
