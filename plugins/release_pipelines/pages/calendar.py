"""Page ``/releases/calendar``: when something may be released, what is planned, and what was released, by month and by week."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from release_pipelines.adapters.history import HistoryUnavailable
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.calendars import Span
from release_pipelines.core.calendars.sheet import Day, Sheet, by_day, sheet_of
from release_pipelines.core.calendars.zones import zone as rules
from release_pipelines.core.model.units import lasting
from release_pipelines.pages.access import Refused
from release_pipelines.pages.app import Looking
from release_pipelines.pages.asked import zone_of
from release_pipelines.pages.html import page
from release_pipelines.pages.occasions import Looked, Occasion, zone_name

router = APIRouter()

MOST_A_DAY = 8
"""So many things a day of a month shows; its week shows all."""


class Item(NamedTuple):
    """Something on one day.

    :param clock: when, in the viewer's zone; ``beside``: in its own, where its clocks show something else.
    :param hour: at which hour of the day it begins; -1: it began before, or lasts all day.
    """

    what: Occasion
    clock: str
    beside: str
    start: float
    hour: int


class Box(NamedTuple):
    """One day with what falls on it."""

    day: Day
    items: list[Item]
    today: bool


@router.get("/calendar")
def calendar(
    request: Request,
    viewer: Looking,
    view: str = "month",
    at: str = "",
    zone: str = "",
    app: str = "",
    environment: str = "",
) -> HTMLResponse:
    """A month or a week."""
    here = zone_of(zone)
    today = datetime.fromtimestamp(time.time(), here).date()
    try:
        sheet = sheet_of(view, at, here, today)
    except ValueError as error:
        raise Refused(400, f"{error}.") from None
    try:
        looked = Looked(HistoryHook().history(), viewer, app, environment)
        told, apps = looked.at(sheet.span), looked.apps()
    except HistoryUnavailable:
        raise Refused(503, "The release history does not answer: what was released is not known now.") from None

    environments = looked.environments()
    app, environment = app if app in apps else "", environment if environment in environments else ""

    def to(**changed: Any) -> str:
        """The address of the same page with something else."""
        asked = {"view": view, "at": at, "zone": zone, "app": app, "environment": environment, **changed}
        return urlencode({key: str(it) for key, it in asked.items() if it})

    return page(
        request,
        "calendar.html",
        viewer=viewer,
        sheet=sheet,
        zone=here.key,
        title=_title(sheet),
        weeks=_boxes(sheet, told.occasions, today),
        told=told,
        most=MOST_A_DAY,
        to=to,
        here=_written(sheet, sheet.first),
        before=_written(sheet, sheet.before),
        behind=_written(sheet, sheet.end),
        asked={"view": view, "at": at, "zone": zone, "app": app, "environment": environment},
        choices={"app": apps, "environment": environments},
    )


def _boxes(sheet: Sheet, occasions: list[tuple[Span, Occasion]], today: date) -> list[list[Box]]:
    weeks = sheet.weeks()
    days = [it for week in weeks for it in week]
    placed = by_day([it for it in days if it.inside], occasions)
    items = {day.date: found for day, found in zip([it for it in days if it.inside], placed, strict=True)}
    return [
        [Box(day, [_item(it, day, sheet.zone) for it in items.get(day.date, [])], day.date == today) for day in week]
        for week in weeks
    ]


def _item(found: tuple[Span, Occasion], day: Day, here: ZoneInfo) -> Item:
    span, what = found
    there = rules(what.zone)
    begins_here = span.start >= day.span.start
    whole_day = span.start <= day.span.start and span.end >= day.span.end
    beside = ""
    if (begins_here or day.date.day == 1) and not _same_clocks(span, here, there):
        beside = f"{_whole(span, there)} in {zone_name(what)}"
    hour = datetime.fromtimestamp(span.start, here).hour if begins_here and not whole_day else -1
    return Item(what, _clock(span, day, here), beside, span.start, hour)


def _clock(span: Span, day: Day, zone: ZoneInfo) -> str:
    """When something is, as the day on which it is shown says it."""
    if span.start <= day.span.start and span.end >= day.span.end:
        return "all day"
    if span.start < day.span.start:
        return f"until {_time(span.end, zone)} {_abbreviation(span.end, zone)}"
    return _whole(span, zone, dated=False)


def _whole(span: Span, zone: ZoneInfo, dated: bool = True) -> str:
    """From when to when, with the zone of each clock, and how long that is."""
    first, last = (datetime.fromtimestamp(it, zone) for it in span)
    begin = f"{first:%a %-d %b} {_time(span.start, zone)}" if dated else _time(span.start, zone)
    if span.end == span.start:
        return f"{begin} {first:%Z}"
    length = lasting(span.end - span.start)
    if first.date() == last.date() and first.tzname() == last.tzname():
        return f"{begin}–{_time(span.end, zone)} {first:%Z} ({length})"  # noqa: RUF001
    return f"{begin} {first:%Z} – {last:%a %-d %b} {_time(span.end, zone)} {last:%Z} ({length})"  # noqa: RUF001


def _time(at: float, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%H:%M")


def _abbreviation(at: float, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%Z")


def _same_clocks(span: Span, here: ZoneInfo, there: ZoneInfo) -> bool:
    return all(
        datetime.fromtimestamp(it, here).replace(tzinfo=None) == datetime.fromtimestamp(it, there).replace(tzinfo=None)
        for it in span
    )


def _title(sheet: Sheet) -> str:
    if sheet.view == "month":
        return f"{sheet.first:%B %Y}"
    last = sheet.end - timedelta(days=1)
    return f"{sheet.first:%-d %b %Y} to {last:%-d %b %Y} (week {sheet.first.isocalendar().week})"


def _written(sheet: Sheet, day: date) -> str:
    return f"{day:%Y-%m}" if sheet.view == "month" else str(day)
