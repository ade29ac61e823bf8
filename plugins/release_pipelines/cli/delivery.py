"""``release delivery``: how we deliver, by DORA's five measures."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.known import unknown
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    fail,
    open_history_at,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from release_pipelines.core.delivery.deployments import Deployment
    from release_pipelines.core.delivery.measures import Span

DAYS = 30


def delivery(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[APP]...", help="Default: all apps, each by itself.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="DAY", help=f"The first day, like 2026-11-01; default: {DAYS} days before the end."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="The day after the last one; default: tomorrow.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Whose midnights these are, like Europe/Berlin.")] = "UTC",
    environment: Annotated[str | None, typer.Option(help="Only what was deployed here.")] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Tell deployment frequency, lead time of changes, change fail rate, recovery time of failed deployments, and rework rate.

    docs/delivery.md says what counts as what. Where there is nothing to measure a measure has no value.
    """
    from release_pipelines.core.delivery.deployments import deployments, in_production, of_apps
    from release_pipelines.core.delivery.measures import as_json as told

    span = _span(since, until, zone)
    with errors_as_sentences():
        history = open_history_at(database)
        known = history.apps()
        for name in names or []:
            if name not in known and (sentence := unknown(name, known)):
                fail(sentence)
        attempts = [it for name in (names or (None,)) for it in history.attempts(name)]
        if environment is not None:
            _known(environment, {it.environment for it in (history.attempts() if names else attempts)})
    attempts = in_production(attempts, _earlier({it.app for it in attempts}))
    found = deployments(it for it in attempts if environment in (None, it.environment))
    if environment is None:
        found = of_apps(found)
    apps = sorted({it.attempt.app for it in found} | set(names or []))
    lines = {app: [it for it in found if it.attempt.app == app] for app in apps}
    if as_json:
        print_json(
            {
                "since": str(span.begin),
                "until": str(span.end),
                "zone": zone,
                "apps": {app: told(lines[app], span) for app in apps},
            }
        )
        return
    if not apps:
        print("No deployment yet.")
        return
    headings = ("app", "deployed", "a week", "lead time", "fail rate", "recovery", "rework", "left out")
    print_table(headings, [_row(app, lines[app], span) for app in apps])
    print(f"From {span.begin} to before {span.end}, {zone}, as of now: a later hotfix may still change it.")


def _earlier(apps: set[str]) -> dict[str, list[str]]:
    """The environments before the last one, of the apps whose files are here."""
    from release_pipelines.spec.folders import apps_folder, config_folder
    from release_pipelines.spec.release import release_specs

    folders = apps_folder(Path.cwd()), config_folder(Path.cwd())
    specs = [it for app in sorted(apps) for it in release_specs(*folders, app)]
    return {it.app.name: [env.name for env in it.environments[:-1]] for it in specs}


def _known(environment: str, used: set[str]) -> None:
    """End with a sentence where nobody knows the environment: no release reached it, and it has no file here."""
    from release_pipelines.spec.folders import config_folder

    files = {it.stem for it in config_folder(Path.cwd()).glob("*.yaml")} - {"base"}
    known = sorted((used | files) - {""})
    if known and environment not in known:
        fail(f"--environment: found `{environment}`, expected one of {', '.join(known)}.")


def _row(app: str, found: list[Deployment], span: Span) -> list[str]:
    from release_pipelines.core.delivery.measures import measures
    from release_pipelines.core.delivery.words import in_words

    it = in_words(measures(found, span))
    numbers = [it.deployed, it.per_week, it.lead_time, it.change_fail_rate, it.recovery_time, it.rework_rate]
    return [app, *numbers, it.left_out]


def _span(since: str | None, until: str | None, zone: str) -> Span:
    from release_pipelines.core.calendars.zones import UnknownZone
    from release_pipelines.core.calendars.zones import zone as rules
    from release_pipelines.core.delivery.measures import Span

    try:
        here = rules(zone)
    except UnknownZone as error:
        fail(f"--zone: {error}, found `{zone}`.")
    end = _day(until, "--until") if until else datetime.now(here).date() + timedelta(days=1)
    begin = _day(since, "--since") if since else end - timedelta(days=DAYS)
    try:
        return Span(begin, end, here)
    except ValueError as error:
        fail(f"--since and --until: {error}.")


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        fail(f"{option}: found `{text}`, expected a day like 2026-11-01.")
