"""Months and weeks as a calendar shows them: days of a zone."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timezone

import pytest

from release_pipelines.core.calendars.model import Span
from release_pipelines.core.calendars.sheet import by_day, sheet_of
from release_pipelines.core.calendars.zones import zone

TODAY = date(2026, 11, 27)
HOUR = 3600


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def text(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("month", "where", "begin", "end", "hours"),
    [
        ("2026-03", "Europe/Berlin", "02-28T23:00", "03-31T22:00", 743),
        ("2026-10", "Europe/Berlin", "09-30T22:00", "10-31T23:00", 745),
        ("2026-03", "UTC", "03-01T00:00", "04-01T00:00", 744),
        ("2026-03", "America/Los_Angeles", "03-01T08:00", "04-01T07:00", 743),
        ("2025-11", "America/Havana", "11-01T04:00", "12-01T05:00", 721),  # midnight comes twice on its second day
        ("2026-04", "Africa/Cairo", "03-31T22:00", "04-30T21:00", 719),  # midnight never comes on 24 April
    ],
)
def test_a_month_is_asked_for_in_its_zone(month: str, where: str, begin: str, end: str, hours: int) -> None:
    sheet = sheet_of("month", month, zone(where), TODAY)
    assert (text(sheet.span.start), text(sheet.span.end)) == (begin, end)
    assert (sheet.span.end - sheet.span.start) / HOUR == hours
    days = [it for week in sheet.weeks() for it in week]
    assert all(before.span.end == behind.span.start for before, behind in itertools.pairwise(days))
    assert len(days) % 7 == 0
    assert days[0].date.weekday() == 0


DAYS = {
    "2026-03-28T23:30:00": ("03-28", "03-29", "03-29", "03-28"),
    "2026-03-29T00:59:59": ("03-29", "03-29", "03-29", "03-28"),
    "2026-03-29T22:30:00": ("03-29", "03-30", "03-30", "03-29"),
    "2026-04-01T02:00:00": ("04-01", "04-01", "04-01", "03-31"),
}
ZONES = ("UTC", "Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles")


@pytest.mark.parametrize("instant", DAYS)
@pytest.mark.parametrize("n", range(4))
def test_an_instant_falls_on_the_day_that_clocks_in_the_zone_show(instant: str, n: int) -> None:
    day = date.fromisoformat(f"2026-{DAYS[instant][n]}")
    for view in ("month", "week"):
        sheet = sheet_of(view, str(day), zone(ZONES[n]), TODAY)
        days = [it for week in sheet.weeks() for it in week]
        placed = by_day(days, [(Span(at(instant), at(instant)), "x")])
        assert [it.date for it, found in zip(days, placed, strict=True) if found] == [day]


def test_what_lasts_for_days_falls_on_each_of_them_and_what_ends_at_midnight_not_on_the_next() -> None:
    sheet = sheet_of("month", "2026-03", zone("UTC"), TODAY)
    days = [it for week in sheet.weeks() for it in week if it.inside]
    freeze = Span(at("2026-03-09T22:00:00"), at("2026-03-12T00:00:00"))
    before = Span(at("2026-02-01T00:00:00"), at("2026-03-01T00:00:00"))
    across = Span(at("2026-02-01T00:00:00"), at("2026-03-01T00:00:01"))
    placed = by_day(days, [(freeze, "freeze"), (before, "before"), (across, "across")])
    found = {it.date.day: [name for _, name in what] for it, what in zip(days, placed, strict=True) if what}
    assert found == {1: ["across"], 9: ["freeze"], 10: ["freeze"], 11: ["freeze"]}


@pytest.mark.parametrize(
    ("view", "asked", "first", "before", "end"),
    [
        ("month", "2026-01", "2026-01-01", "2025-12-01", "2026-02-01"),
        ("month", "2026-12-31", "2026-12-01", "2026-11-01", "2027-01-01"),
        ("week", "2026-03-29", "2026-03-23", "2026-03-16", "2026-03-30"),
        ("week", "2026-W01", "2025-12-29", "2025-12-22", "2026-01-05"),
        ("month", "", "2026-11-01", "2026-10-01", "2026-12-01"),
        ("week", "", "2026-11-23", "2026-11-16", "2026-11-30"),
    ],
)
def test_what_comes_before_and_behind(view: str, asked: str, first: str, before: str, end: str) -> None:
    sheet = sheet_of(view, asked, zone("Europe/Berlin"), TODAY)
    assert [str(it) for it in (sheet.first, sheet.before, sheet.end)] == [first, before, end]


@pytest.mark.parametrize(
    ("view", "asked", "expected"),
    [
        ("year", "2026-03", "month or week is expected"),
        ("month", "2026-13", "a month like 2026-03"),
        ("month", "March", "a month like 2026-03"),
        ("week", "2026-W60", "a month like 2026-03"),
        ("month", "0001-01", "a year from"),
        ("week", "9999-12-31", "a year from"),
    ],
)
def test_what_is_no_month_gets_a_sentence(view: str, asked: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        sheet_of(view, asked, zone("UTC"), TODAY)
