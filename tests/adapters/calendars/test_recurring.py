"""Random events with their exceptions, in whatever form these are written, against dates that are tried one by one: an independent reading."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.calendars.spans import spans
from release_pipelines.core.calendars.zones import zone
from tests.adapters.calendars.texts import event, read

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Auckland",
    "America/Santiago",
)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FIRST, LAST = date(2026, 1, 5), date(2027, 3, 31)
UTC = timezone.utc
Stretch = tuple[float, float]


class Drawn(NamedTuple):
    """An event: on which weekdays of which weeks at which time, for how long, how often, without which, and with which moved where."""

    zone: str
    weekdays: frozenset[int]
    every: int
    clock: int
    minutes: int
    length: str
    count: int | None
    until: str | None
    left_out: list[tuple[int, str]]
    moved: list[tuple[int, str, int]]


def instants(name: str) -> dict[datetime, list[float]]:
    """The instants at which clocks show each quarter of an hour, by nothing but what they show."""
    if name not in _INSTANTS:
        found: dict[datetime, list[float]] = {}
        begin = int(datetime(2026, 1, 3, tzinfo=UTC).timestamp())
        for at in range(begin, begin + 460 * 86400, 900):
            found.setdefault(datetime.fromtimestamp(at, UTC).astimezone(zone(name)).replace(tzinfo=None), []).append(at)
        _INSTANTS[name] = found
    return _INSTANTS[name]


_INSTANTS: dict[str, dict[datetime, list[float]]] = {}


def instant(name: str, wall: datetime, last: bool = False) -> float:
    """The first, or the last, instant of a wall time; that of the change where clocks leave it out."""
    shown = instants(name)
    while wall not in shown:
        wall += timedelta(minutes=15)
        last = False
    return shown[wall][-1 if last else 0]


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    form = st.sampled_from(["utc", "own", "other", "date"])
    place = st.integers(0, 60)
    end = draw(st.sampled_from(["count", "date", "local", "utc", "none"]))
    return Drawn(
        zone=draw(st.sampled_from(ZONES)),
        weekdays=draw(st.frozensets(st.integers(0, 6), min_size=1, max_size=4)),
        every=draw(st.integers(1, 3)),
        clock=draw(st.integers(0, 95)),
        minutes=15 * draw(st.integers(1, 200)),
        length=draw(st.sampled_from(["end", "exact", "days"])),
        count=draw(st.integers(1, 60)) if end == "count" else None,
        until=None if end in ("count", "none") else end,
        left_out=draw(st.lists(st.tuples(place, form), max_size=4)),
        moved=draw(st.lists(st.tuples(place, form, st.integers(-30, 90)), max_size=3)),
    )


def walls(it: Drawn) -> list[datetime]:
    """The wall times of its rule, date by date."""
    clock = timedelta(minutes=15 * it.clock)
    days = [FIRST + timedelta(n) for n in range((LAST - FIRST).days)]
    fitting = [day for day in days if day.weekday() in it.weekdays and (day - FIRST).days // 7 % it.every == 0]
    found = [datetime.combine(day, datetime.min.time()) + clock for day in fitting]
    if it.count is not None:
        return found[: it.count]
    return found[: 2 * len(found) // 3] if it.until else found


def named(it: Drawn, wall: datetime, form: str) -> str:
    """An occurrence in one of the forms in which others write it."""
    at = datetime.fromtimestamp(instant(it.zone, wall), UTC)
    return {
        "utc": f":{at:%Y%m%dT%H%M%SZ}",
        "own": f";TZID={it.zone}:{wall:%Y%m%dT%H%M%S}",
        "other": f";TZID=Asia/Kathmandu:{at.astimezone(zone('Asia/Kathmandu')):%Y%m%dT%H%M%S}",
        "date": f";VALUE=DATE:{wall:%Y%m%d}",
    }[form]


def length(it: Drawn, wall: datetime) -> tuple[str, float]:
    """The line that says how long it is, and the instant at which an occurrence ends."""
    begins = instant(it.zone, wall)
    if it.length == "end":
        end = wall + timedelta(minutes=it.minutes)
        return f"DTEND;TZID={it.zone}:{end:%Y%m%dT%H%M%S}", instant(it.zone, end, last=True)
    if it.length == "days":
        days = 1 + it.minutes % 3
        return f"DURATION:P{days}D", instant(it.zone, wall + timedelta(days), last=True)
    return f"DURATION:PT{it.minutes}M", begins + 60 * it.minutes


def until(it: Drawn, last: datetime) -> str:
    at = datetime.fromtimestamp(instant(it.zone, last), UTC)
    return {"date": f"{last:%Y%m%d}", "local": f"{last:%Y%m%dT%H%M%S}", "utc": f"{at:%Y%m%dT%H%M%SZ}"}[it.until or ""]


@given(drawn())
def test_what_is_read_is_what_the_dates_say(it: Drawn):
    every = walls(it)
    rule = f"RRULE:FREQ=WEEKLY;INTERVAL={it.every};WKST=MO;BYDAY={','.join(DAYS[day] for day in sorted(it.weekdays))}"
    if it.count is not None:
        rule += f";COUNT={it.count}"
    elif it.until:
        rule += f";UNTIL={until(it, every[-1])}"
    lines = [f"DTSTART;TZID={it.zone}:{every[0]:%Y%m%dT%H%M%S}", length(it, every[0])[0], rule]
    left = set(every)
    for place, form in it.left_out:
        wall = every[place % len(every)]
        left.discard(wall)
        lines.append(f"EXDATE{named(it, wall, form)}")
    moved, extra = {}, set()
    for place, form, days in it.moved:
        wall = every[place % len(every)]
        if wall in left and wall not in moved:
            moved[wall] = form, days
    parts = []
    for wall, (form, days) in moved.items():
        left.discard(wall)
        at = int(instant(it.zone, wall)) + 86400 * days
        extra.add((float(at), at + 3600.0))
        begin = datetime.fromtimestamp(at, UTC)
        parts.append(event(f"RECURRENCE-ID{named(it, wall, form)}", f"DTSTART:{begin:%Y%m%dT%H%M%SZ}", "DURATION:PT1H"))
    found = read(event(*lines), *parts, zone=None)
    assert found.notes == ()
    expected: set[Stretch] = {(instant(it.zone, wall), length(it, wall)[1]) for wall in left} | extra
    start, end = instant(it.zone, datetime(2026, 2, 1)), instant(it.zone, datetime(2027, 2, 1))
    right = sorted(span for span in expected if span[0] < end and span[1] > start and span[1] > span[0])
    assert sorted({tuple(span) for entry in found.entries for span in spans(entry, start, end)}) == right
