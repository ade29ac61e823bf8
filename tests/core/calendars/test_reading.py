"""Random calendars, against clocks read minute by minute: an independent reading, over the changes of clocks in twelve zones."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release_pipelines.core.calendars import Asked, Calendar, Entry, openings, standing
from release_pipelines.core.calendars.model import Length
from release_pipelines.core.calendars.rules import days_rule
from release_pipelines.core.calendars.zones import zone

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Pacific/Auckland",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/Vancouver",
    "Europe/Dublin",
)
SHOP = Asked("shop", "production")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTE, DAY, AROUND = 60, 86400, 3
FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp()) for year in (2026, 2028))
Clock = list[tuple[int, datetime]]
Draft = tuple[str, int, int, int]


def offset(at: int, rules: ZoneInfo) -> timedelta:
    found = datetime.fromtimestamp(at, timezone.utc).astimezone(rules).utcoffset()
    assert found is not None
    return found


def changes(name: str) -> list[int]:
    """The hours of 2026 and 2027 in which clocks change."""
    rules = zone(name)
    return [at for at in range(FIRST, LAST, 3600) if offset(at, rules) != offset(at + 3600, rules)]


CHANGES = [(name, at) for name in ZONES for at in changes(name) or [FIRST + 100 * DAY]]


def clock(name: str, at: int) -> Clock:
    """What clocks show, minute by minute, for some days around an instant."""
    rules = zone(name)
    return [
        (it, datetime.fromtimestamp(it, timezone.utc).astimezone(rules).replace(tzinfo=None))
        for it in range(at - AROUND * DAY, at + AROUND * DAY, MINUTE)
    ]


def covered(draft: Draft, shown: Clock) -> set[int]:
    """The minutes of an entry's occurrences, by nothing but what clocks show."""
    _, weekday, begin, length = draft
    first: dict[datetime, int] = {}
    last: dict[datetime, int] = {}
    for it, wall in shown:
        first.setdefault(wall, it)
        last[wall] = it

    def behind(wall: datetime) -> int | None:
        """The instant from which clocks show a later time, where they never show this one."""
        previous = [n for n in range(1, len(shown)) if shown[n - 1][1] < wall < shown[n][1]]
        return shown[previous[0]][0] if previous else None

    found: set[int] = set()
    midnight = datetime.combine(shown[0][1].date(), datetime.min.time()) - timedelta(days=1)
    for n in range(2 * AROUND + 4):
        start = midnight + timedelta(days=n, minutes=begin)
        if (midnight + timedelta(days=n)).weekday() != weekday:
            continue
        end = start + timedelta(minutes=length)
        if start < shown[0][1] or end > shown[-1][1]:
            found |= {it for it, wall in shown if start <= wall < end}  # far from the change
            continue
        begins = first[start] if start in first else behind(start)
        ends = last[end] if end in last else behind(end)
        assert begins is not None
        assert ends is not None
        found |= set(range(begins, ends, MINUTE))
    return found


def entry(draft: Draft, name: str) -> Entry:
    kind, weekday, begin, length = draft
    rule = days_rule(DAYS[weekday])
    since = rule.since + timedelta(minutes=begin)
    return Entry(
        kind="window" if kind == "window" else "freeze",
        name=f"{kind} {begin}",
        zone=name,
        recurrences=(rule.model_copy(update={"since": since}),),
        length=Length(wall=60 * length),
    )


DRAFTS = st.tuples(
    st.sampled_from(["window", "window", "freeze"]),
    st.integers(0, 6),
    st.one_of(st.integers(0, 4 * 60), st.integers(0, 24 * 60 - 1)),
    st.one_of(st.integers(1, 180), st.integers(1, 24 * 60)),
)


@pytest.mark.parametrize(("name", "at"), CHANGES, ids=[f"{n}-{n_}" for n_, (n, _) in enumerate(CHANGES)])
@settings(max_examples=6, deadline=None)
@given(drafts=st.lists(DRAFTS, min_size=1, max_size=4))
def test_open_and_what_comes_next_are_what_clocks_show(name: str, at: int, drafts: list[Draft]) -> None:
    day = datetime.fromtimestamp(at, timezone.utc).astimezone(zone(name)).weekday()
    near = [(kind, (day + weekday % 2 - 1) % 7, begin, length) for kind, weekday, begin, length in drafts]
    shown = clock(name, at)
    windows, frozen = set(), set()
    for draft in near:
        (windows if draft[0] == "window" else frozen).update(covered(draft, shown))
    if not any(kind == "window" for kind, *_ in near):
        windows = {it for it, _ in shown}
    minutes = [it for it, _ in shown if at - 2 * DAY <= it < at + 2 * DAY]
    reading = {it: it in windows and it not in frozen for it in minutes}
    calendar = Calendar(name="random", zone=name, entries=tuple(entry(it, name) for it in near))
    spans = [(it.start, it.end) for it in openings([calendar], SHOP, minutes[0], minutes[-1] + MINUTE)]
    assert {it for it in minutes if any(a <= it < b for a, b in spans)} == {it for it in minutes if reading[it]}
    flips = [b for a, b in itertools.pairwise(minutes) if reading[a] != reading[b]]
    for it in (minutes[0], *flips, *(flip - MINUTE for flip in flips), minutes[len(minutes) // 2]):
        now = standing([calendar], SHOP, it)
        assert now.open == reading[it]
        following = next((flip for flip in flips if flip > it), None)
        if following is not None:
            assert (now.closes_at if now.open else now.opens_at) == following
            assert standing([calendar], SHOP, following - 1).open == reading[it]
