"""Pages ``/releases/delivery``: how we deliver, by DORA's five measures; the same as JSON and as a picture."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from release_pipelines.core.delivery.deployments import Deployment, of_apps
from release_pipelines.core.delivery.measures import Span, as_json, by_week, measures, within
from release_pipelines.core.delivery.words import InWords, in_words, lasting
from release_pipelines.core.model.release_id import run_of
from release_pipelines.pages.access import Refused
from release_pipelines.pages.app import Looking
from release_pipelines.pages.asked import day_of, zone_of
from release_pipelines.pages.deliveries import visible
from release_pipelines.pages.html import NOT_KEPT, page
from release_pipelines.pages.scope import apps as apps_here

router = APIRouter()

DAYS, MOST_DAYS = 30, 1100
MOST_A_WEEK = 100
"""So many releases of a week are listed."""
FIRST_DAY, LAST_DAY = date(1971, 1, 1), date(2199, 12, 31)


class Asked(NamedTuple):
    """What somebody wants to see.

    :param apps: none: all.
    :param team: the owner in the apps' files; empty: all.
    :param environment: empty: all, and a release that went to several is one of its app.
    """

    apps: list[str]
    team: str
    environment: str
    span: Span


class Line(NamedTuple):
    """One row: whose measures they are."""

    name: str
    apps: int
    words: InWords


def asked(
    app: Annotated[list[str] | None, Query()] = None,
    team: str = "",
    environment: str = "",
    begin: Annotated[str, Query(alias="from")] = "",
    end: Annotated[str, Query(alias="to")] = "",
    zone: str = "",
) -> Asked:
    """What the address asks for.

    :raises Refused: what is no zone, no day or no span.
    """
    here = zone_of(zone)
    behind = day_of("to", end) if end else _today(here) + timedelta(days=1)
    first = day_of("from", begin) if begin else behind - timedelta(days=DAYS)
    if not (FIRST_DAY <= first < LAST_DAY and behind <= LAST_DAY) or (behind - first).days > MOST_DAYS:
        raise Refused(400, f"from and to: at most {MOST_DAYS} days are expected, found {first} to {behind}.")
    try:
        span = Span(first, behind, here)
    except ValueError as error:
        raise Refused(400, f"from and to: {error}.") from None
    return Asked([it for it in app or [] if it], team, environment, span)


Asking = Annotated[Asked, Depends(asked)]


class Shown(NamedTuple):
    """What is shown of all that the viewer may see.

    :param found: each deployment in each environment, of the releases that are in the span somewhere.
    :param merged: what is measured: one of each release, where no environment is asked for.
    :param apps: those that fit what is asked for, whether or not something was deployed in the span.
    :param all: all that the viewer may see, for what may be chosen.
    :param teams: whose these apps are, where their files say it.
    """

    found: list[Deployment]
    merged: list[Deployment]
    apps: list[str]
    all: list[Deployment]
    teams: dict[str, str]
    as_of: float


def _shown(request: Request, viewer: Looking, asked: Asked) -> Shown:
    known = request.app.state.deliveries.known()
    mine = visible(known, viewer)
    files = apps_here()
    teams = {it: files[it].owner for it in sorted({one.attempt.app for one in mine}) if it in files}
    fits = [
        it
        for it in mine
        if (not asked.apps or it.attempt.app in asked.apps)
        and (not asked.team or teams.get(it.attempt.app) == asked.team)
        and (not asked.environment or it.attempt.environment == asked.environment)
    ]
    inside = {it.attempt.release for it in within(fits, asked.span)}
    found = [it for it in fits if it.attempt.release in inside]
    merged = found if asked.environment else of_apps(found)
    return Shown(found, merged, sorted({it.attempt.app for it in fits}), mine, teams, known.as_of)


@router.get("/delivery")
def delivery(request: Request, viewer: Looking, asked: Asking) -> HTMLResponse:
    """The five measures, with the releases behind them."""
    shown = _shown(request, viewer, asked)
    environments = sorted({it.attempt.environment for it in shown.all} - {""})
    teams = sorted(set(shown.teams.values()))
    choices = {"app": sorted({it.attempt.app for it in shown.all}), "team": teams, "environment": environments}
    known = asked._replace(
        apps=[it for it in asked.apps if it in choices["app"]],
        team=asked.team if asked.team in teams else "",
        environment=asked.environment if asked.environment in environments else "",
    )  # what only the address says is not said again
    return page(
        request,
        "delivery.html",
        viewer=viewer,
        asked=known,
        apps=_lines(shown.merged, shown.apps, lambda it: it.attempt.app, asked.span),
        teams=_lines(shown.merged, _teams(shown), lambda it: shown.teams.get(it.attempt.app, ""), asked.span),
        environments=_lines(shown.found, _environments(shown), lambda it: it.attempt.environment, asked.span),
        together=in_words(measures(shown.merged, asked.span)),
        weeks=[
            (
                it.bar,
                in_words(it.measures),
                [_release(one, asked.span) for one in it.found[:MOST_A_WEEK]],
                len(it.found),
            )
            for it in by_week(shown.merged, asked.span)
        ],
        choices=choices,
        presets=_presets(asked.span),
        query=_query(known),
        query_for=lambda begin, end: _query(known._replace(span=Span(begin, end, asked.span.zone))),
        as_of=shown.as_of,
    )


@router.get("/delivery.json")
def delivery_json(request: Request, viewer: Looking, asked: Asking) -> JSONResponse:
    """The same for programs, as ``release delivery --json`` has it."""
    shown = _shown(request, viewer, asked)
    lines: dict[str, list[Deployment]] = {app: [] for app in shown.apps}
    for it in shown.merged:
        lines[it.attempt.app].append(it)
    told: dict[str, Any] = {
        "since": str(asked.span.begin),
        "until": str(asked.span.end),
        "zone": asked.span.zone.key,
        "as_of": datetime.fromtimestamp(shown.as_of, asked.span.zone).isoformat(timespec="seconds"),
        "apps": {app: as_json(found, asked.span) for app, found in lines.items()},
    }
    return JSONResponse(told, headers=NOT_KEPT)


@router.get("/delivery/chart.svg")
def chart(request: Request, viewer: Looking, asked: Asking, theme: str = "light") -> Response:
    """Deployments by week, as a picture."""
    from release_pipelines.pages.bars import Column, weekly

    weeks = by_week(_shown(request, viewer, asked).merged, asked.span)
    columns = tuple(Column(it.bar.week, it.bar.count, it.measures.failed, it.bar.days) for it in weeks)
    tag = hashlib.sha256(repr((columns, theme == "dark")).encode()).hexdigest()[:32]
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(weekly(columns, theme == "dark"), media_type="image/svg+xml", headers=headers)


def _teams(shown: Shown) -> list[str]:
    return sorted({shown.teams[it] for it in shown.apps if it in shown.teams})


def _environments(shown: Shown) -> list[str]:
    return sorted({it.attempt.environment for it in shown.found} - {""})


def _lines(found: Sequence[Deployment], names: Iterable[str], of: Any, span: Span) -> list[Line]:
    parts: dict[str, list[Deployment]] = {it: [] for it in names}
    for it in found:
        if of(it) in parts:
            parts[of(it)].append(it)
    return [
        Line(name, len({it.attempt.app for it in part}), in_words(measures(part, span))) for name, part in parts.items()
    ]


def _release(it: Deployment, span: Span) -> dict[str, Any]:
    """A release behind a number."""
    dag_id, run_id = run_of(it.attempt.release)
    return {
        "app": it.attempt.app,
        "version": it.attempt.version,
        "environment": it.attempt.environment,
        "dag_id": dag_id,
        "run_id": run_id,
        "at": it.at,
        "clock": datetime.fromtimestamp(it.at, span.zone).strftime("%a %-d %b %H:%M %Z"),
        "outcome": (it.attempt.outcome or "").replace("_", " "),
        "failed": it.failed,
        "rework": it.rework,
        "recovery": lasting(it.recovery) if it.failed and it.recovered_at is not None else None,
        "lead_times": [lasting(time) for time in sorted(it.lead_times, reverse=True)],
    }


def _today(zone: Any) -> date:
    return datetime.fromtimestamp(time.time(), zone).date()


def _presets(span: Span) -> list[tuple[str, date, date]]:
    """Spans that are asked for often."""
    today = _today(span.zone)
    tomorrow = today + timedelta(days=1)
    quarter = today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1)
    last = (quarter - timedelta(days=1)).replace(day=1)
    last = last.replace(month=(last.month - 1) // 3 * 3 + 1)
    return [
        ("30 days", tomorrow - timedelta(days=30), tomorrow),
        ("90 days", tomorrow - timedelta(days=90), tomorrow),
        ("This quarter", quarter, tomorrow),
        ("Last quarter", last, quarter),
    ]


def _query(asked: Asked) -> str:
    """What the picture and the JSON are asked for."""
    span = asked.span
    pairs = [("app", it) for it in asked.apps]
    pairs += [("team", asked.team), ("environment", asked.environment)]
    pairs += [("from", str(span.begin)), ("to", str(span.end)), ("zone", span.zone.key or "UTC")]
    return urlencode([it for it in pairs if it[1]])
