"""DORA's five measures of a span (https://dora.dev/guides/dora-metrics, as of 5 January 2026)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from release_pipelines.core.delivery.deployments import Deployment

DAYS_OF_A_WEEK = 7


@dataclass(frozen=True)
class Span:
    """Whole days of a zone: from the first midnight to the one that no longer belongs to it.

    :raises ValueError: when it has no day.
    """

    begin: date
    end: date
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if self.end <= self.begin:
            raise ValueError(f"a span of at least one day is expected, found {self.begin} to {self.end}")

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.begin).days

    def instants(self) -> tuple[float, float]:
        """Its two midnights, as Unix times in seconds."""
        return _midnight(self.begin, self.zone), _midnight(self.end, self.zone)


@dataclass(frozen=True)
class Bar:
    """Deployments of one week.

    :param week: its Monday.
    :param days: how many of its days are in the span: fewer than seven where it is cut.
    """

    week: date
    count: int
    days: int


class Week(NamedTuple):
    """What happened in a week."""

    bar: Bar
    measures: Measures
    found: list[Deployment]


@dataclass(frozen=True)
class Measures:
    """The five measures, with the numbers behind them. None: there is nothing that they could be made of."""

    deployed: int
    attempts: int
    per_week: float
    per_day: float
    failed: int
    rework: int
    lead_time: float | None
    """Median, in seconds, of commits."""
    commits: int
    ahead: int
    change_fail_rate: float | None
    recovery_time: float | None
    """Median, in seconds."""
    recovered: int
    not_recovered: int
    rework_rate: float | None
    releases: tuple[str, ...]


def measures(found: Iterable[Deployment], span: Span) -> Measures:
    """The measures of a span. Of several apps together counts are summed, and commits and recoveries pooled: rates are never averaged.

    :param found: see :func:`~release_pipelines.core.delivery.deployments.deployments`; those outside of the span are left out.
    """
    inside = within(found, span)
    deployed = [it for it in inside if it.deployed]
    failed = [it for it in inside if it.failed]
    rework = sum(it.rework for it in inside)
    lead = [time for it in deployed for time in it.lead_times]
    recoveries = [time for it in failed if (time := it.recovery) is not None]
    return Measures(
        deployed=len(deployed),
        attempts=len(inside),
        per_week=len(deployed) / span.days * DAYS_OF_A_WEEK,
        per_day=len(deployed) / span.days,
        failed=len(failed),
        rework=rework,
        lead_time=median(lead) if lead else None,
        commits=len(lead),
        ahead=sum(it.ahead for it in deployed),
        change_fail_rate=len(failed) / len(inside) if inside else None,
        recovery_time=median(recoveries) if recoveries else None,
        recovered=len(recoveries),
        not_recovered=sum(it.recovered_at is None for it in failed),
        rework_rate=rework / len(inside) if inside else None,
        releases=tuple(it.attempt.release for it in inside),
    )


def within(found: Iterable[Deployment], span: Span) -> list[Deployment]:
    """The deployments whose instant is in the span."""
    begin, end = span.instants()
    return [it for it in found if begin <= it.at < end]


def weeks(found: Sequence[Deployment], span: Span) -> list[Bar]:
    """Deployments by week, from Monday on; weeks without one, too."""
    days = [datetime.fromtimestamp(it.at, span.zone).date() for it in within(found, span) if it.deployed]
    monday = span.begin - timedelta(days=span.begin.weekday())
    bars = []
    while monday < span.end:
        following = monday + timedelta(days=DAYS_OF_A_WEEK)
        inside = (min(following, span.end) - max(monday, span.begin)).days
        bars.append(Bar(monday, sum(monday <= day < following for day in days), inside))
        monday = following
    return bars


def by_week(found: Iterable[Deployment], span: Span) -> list[Week]:
    """The measures of each week, as far as it is in the span."""
    inside = within(found, span)
    told = []
    for bar in weeks(inside, span):
        following = bar.week + timedelta(days=DAYS_OF_A_WEEK)
        part = Span(max(bar.week, span.begin), min(following, span.end), span.zone)
        mine = within(inside, part)
        told.append(Week(bar, measures(mine, part), mine))
    return told


def as_json(found: Sequence[Deployment], span: Span) -> dict[str, Any]:
    """The measures of a span with its weeks, for programs: the command and the page say the same."""
    bars = [{"week": str(it.week), "deployed": it.count, "days": it.days} for it in weeks(found, span)]
    return {**asdict(measures(found, span)), "weeks": bars}


def _midnight(day: date, zone: ZoneInfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
