"""What a question to calendars costs: open or not, and when next, with 200 entries, one of them daily since 1970."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial

from benchmarks.table import load, table
from release_pipelines.core.calendars import Asked, Calendar, Entry, openings, standing
from release_pipelines.core.calendars.model import Length
from release_pipelines.core.calendars.rules import days_rule, rrule
from release_pipelines.core.calendars.zones import zone

ENTRIES, RUNS, FRESH = 200, 500, 50
NOW = datetime(2026, 11, 27, 12, tzinfo=timezone.utc).timestamp()
SHOP = Asked("shop", "production")
DAYS = ("daily", "mon-fri", "last fri", "2nd tue", "sat after 2nd tue", "last day", "day 31", "sun")


def calendar() -> Calendar:
    """200 entries of all kinds: made anew, it knows nothing yet."""
    berlin = "Europe/Berlin"
    daily = rrule("FREQ=DAILY", datetime(1970, 1, 1, 22), berlin)
    entries = [Entry(kind="window", name="old", zone=berlin, recurrences=(daily,), length=Length(wall=7200))]
    for n in range(1, ENTRIES):
        rule = days_rule(DAYS[n % len(DAYS)])
        rule = rule.model_copy(update={"since": rule.since + timedelta(minutes=7 * n % 1440)})
        kind = "freeze" if n % 3 else "window"
        entries.append(Entry(kind=kind, name=f"e{n}", zone=berlin, recurrences=(rule,), length=Length(wall=60 * n)))
    return Calendar(name="many", zone=berlin, entries=tuple(entries))


def frozen() -> Calendar:
    """The same as it is longest until the next opening: all of it stands still but for February 29th."""
    berlin = "Europe/Berlin"
    leap = rrule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", datetime(1972, 2, 29, 22), berlin)
    always = rrule("FREQ=DAILY", datetime(1970, 1, 1), berlin)
    off = Entry(kind="freeze", name="day", zone=berlin, recurrences=(always,), length=Length(wall=22 * 3600))
    rare = Entry(kind="window", name="leap", zone=berlin, recurrences=(leap,), length=Length(wall=7200))
    others = tuple(it for it in calendar().entries[1:] if it.kind == "freeze" and it.length.wall < 3600)
    return Calendar(name="rare", zone=berlin, entries=(rare, off, *others))


def main() -> None:
    """Measure the first question of a process and to a calendar, and further ones."""
    zone("Europe/Berlin")
    rows = []
    for name, make in (("many", calendar), ("rare", frozen)):
        rows.append([f"{name}: first question of a process", *timed(partial(ask, [make()]), 1)])
        fresh = iter([make() for _ in range(FRESH)])
        rows.append([f"{name}: first question to a calendar", *timed(lambda fresh=fresh: ask([next(fresh)]), FRESH)])
        known = make()
        rows.append([f"{name}: open now, and until when", *timed(partial(ask, [known]))])
        closed = next((NOW + n * 600 for n in range(300) if not standing([known], SHOP, NOW + n * 600).open), NOW)
        fresh = iter([make() for _ in range(FRESH)])
        cold = timed(lambda fresh=fresh, at=closed: standing([next(fresh)], SHOP, at), FRESH)
        rows.append([f"{name}: closed, and when next, first", *cold])
        rows.append([f"{name}: closed, and when next", *timed(partial(standing, [known], SHOP, closed))])
        quarter = partial(openings, [known], SHOP, NOW, NOW + 92 * 86400)
        rows.append([f"{name}: openings of a quarter, first", *timed(quarter, 1)])
        rows.append([f"{name}: openings of a quarter", *timed(quarter, 20)])
    table(f"Calendar of {ENTRIES} entries, milliseconds; the rules of its zone are read", ["", "median", "worst"], rows)
    load()


def ask(calendars: list[Calendar]) -> object:
    """Whether they are open."""
    return standing(calendars, SHOP, NOW)


def timed(ask: Callable[[], object], runs: int = RUNS) -> list[str]:
    """Median and worst of some questions, in milliseconds."""
    took = []
    for _ in range(runs):
        begun = time.perf_counter()
        ask()
        took.append((time.perf_counter() - begun) * 1000)
    return [f"{statistics.median(took):.2f}", f"{max(took):.2f}"]
