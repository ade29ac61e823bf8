"""The measures in words, for people: the same in a terminal and on a page."""

from __future__ import annotations

from typing import NamedTuple

from release_pipelines.core.delivery.measures import Measures

NONE = "–"  # noqa: RUF001
"""What stands where there is nothing to measure."""


class InWords(NamedTuple):
    """One line of a table, each number with how many it is made of."""

    deployed: str
    per_week: str
    per_day: str
    lead_time: str
    change_fail_rate: str
    recovery_time: str
    rework_rate: str
    left_out: str


def in_words(it: Measures) -> InWords:
    """The measures as they are read."""
    still = f", {it.not_recovered} not yet" if it.not_recovered else ""
    return InWords(
        deployed=str(it.deployed),
        per_week=frequency(it.per_week),
        per_day=frequency(it.per_day),
        lead_time=_of(lasting(it.lead_time), it.commits, "commits"),
        change_fail_rate=_part(percent(it.change_fail_rate), it.failed, it.attempts),
        recovery_time=_of(lasting(it.recovery_time), it.recovered, "failures") + still,
        rework_rate=_part(percent(it.rework_rate), it.rework, it.attempts),
        left_out=f"{it.ahead} committed after {'it was' if it.ahead == 1 else 'they were'} deployed"
        if it.ahead
        else "",
    )


def frequency(times: float) -> str:
    """How often, with two digits that count: ``0.47``, ``2.1``, ``120``."""
    return f"{times:.0f}" if times >= 10 else f"{times:.2g}"


def percent(share: float | None) -> str:
    """A rate like ``37.5 %``."""
    return NONE if share is None else f"{share * 100:.1f} %"


def lasting(seconds: float | None) -> str:
    """A time with one digit behind the point: ``14.5 h``, ``45 min``."""
    if seconds is None:
        return NONE
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {name}"
    return f"{seconds:.0f} s"


def _of(value: str, count: int, what: str) -> str:
    return value if value == NONE else f"{value} ({count} {what if count != 1 else what.removesuffix('s')})"


def _part(value: str, part: int, count: int) -> str:
    return value if value == NONE else f"{value} ({part} of {count})"
