"""``release delivery``: how we deliver, by DORA's five measures."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

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
    from release_pipelines.core.delivery.measures import Measures, Span

DAYS = 30
NONE = "–"  # noqa: RUF001


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
    from release_pipelines.core.delivery.deployments import deployments, of_apps

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
                "apps": {app: _json(lines[app], span) for app in apps},
            }
        )
        return
    if not apps:
        print("No deployment yet.")
        return
    headings = ("app", "deployed", "a week", "lead time", "fail rate", "recovery", "rework", "left out")
    print_table(headings, [_row(app, lines[app], span) for app in apps])
    print(f"From {span.begin} to before {span.end}, {zone}, as of now: a later hotfix may still change it.")


def _known(environment: str, used: set[str]) -> None:
    """End with a sentence where nobody knows the environment: no release reached it, and it has no file here."""
    from release_pipelines.spec.folders import config_folder

    files = {it.stem for it in config_folder(Path.cwd()).glob("*.yaml")} - {"base"}
    known = sorted((used | files) - {""})
    if known and environment not in known:
        fail(f"--environment: found `{environment}`, expected one of {', '.join(known)}.")


def _json(found: list[Deployment], span: Span) -> dict[str, Any]:
    from release_pipelines.core.delivery.measures import measures, weeks

    bars = [{"week": str(bar.week), "deployed": bar.count, "days": bar.days} for bar in weeks(found, span)]
    return {**asdict(measures(found, span)), "weeks": bars}


def _row(app: str, found: list[Deployment], span: Span) -> list[str]:
    from release_pipelines.core.delivery.measures import measures

    it = measures(found, span)
    return [
        app,
        str(it.deployed),
        f"{it.per_week:.2g}",
        _with(_lasting(it.lead_time), it.commits, "commits"),
        _with(_percent(it.change_fail_rate), it.attempts, "releases", part=it.failed),
        _recovery(it),
        _with(_percent(it.rework_rate), it.attempts, "releases", part=it.rework),
        f"{it.ahead} committed after they were deployed" if it.ahead else "",
    ]


def _recovery(it: Measures) -> str:
    still = f", {it.not_recovered} not yet" if it.not_recovered else ""
    return _with(_lasting(it.recovery_time), it.recovered, "failures") + still


def _with(value: str, count: int, what: str, part: int | None = None) -> str:
    if value == NONE:
        return NONE
    return f"{value} ({count} {what})" if part is None else f"{value} ({part} of {count})"


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share * 100:.1f} %"


def _lasting(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.0f} s"


def _span(since: str | None, until: str | None, zone: str) -> Span:
    from release_pipelines.core.delivery.measures import Span

    try:
        here = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        fail(f"--zone: found `{zone}`, expected the name of a time zone like Europe/Berlin.")
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
