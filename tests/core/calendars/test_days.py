"""The arithmetic of days, against dateutil's reading of the same rules from their first day on."""

from __future__ import annotations

import datetime as dt

from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from release_pipelines.core.calendars import Asked, Calendar, Entry, openings, standing
from release_pipelines.core.calendars.days import CODES, days_of, plain
from release_pipelines.core.calendars.model import Length
from release_pipelines.core.calendars.rules import days_rule, rrule
from release_pipelines.core.calendars.spans import starts_of

SHOP = Asked("shop", "production")
NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.timezone.utc).timestamp()


def listed(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=3, unique=True).map(",".join)


WEEKDAYS = listed(st.sampled_from(CODES)).map("BYDAY={}".format)
NTH = listed(st.builds("{}{}".format, st.sampled_from([1, 2, 3, 4, 5, -1, -2, -5]), st.sampled_from(CODES)))
MONTH_DAYS = listed(st.sampled_from([1, 15, 28, 29, 30, 31, -1, -3, -31]).map(str)).map("BYMONTHDAY={}".format)
MONTHS = listed(st.integers(1, 12).map(str)).map("BYMONTH={}".format)
RULES = st.one_of(
    st.just("FREQ=DAILY"),
    st.just("FREQ=WEEKLY"),
    st.just("FREQ=MONTHLY"),
    st.just("FREQ=YEARLY"),
    WEEKDAYS.map("FREQ=WEEKLY;{}".format),
    NTH.map("FREQ=MONTHLY;BYDAY={}".format),
    MONTH_DAYS.map("FREQ=MONTHLY;{}".format),
    st.builds("FREQ=MONTHLY;{};{}".format, MONTHS, MONTH_DAYS),
    st.builds("FREQ=YEARLY;BYMONTH={};BYMONTHDAY={}".format, st.integers(1, 12), st.integers(1, 31)),
)


@settings(max_examples=300, deadline=None)
@given(
    rule=RULES,
    interval=st.integers(1, 5),
    since=st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2030, 12, 31)).map(lambda it: it.replace(microsecond=0)),
    ahead=st.integers(-400, 4000),
    length=st.integers(0, 1500),
)
def test_days_are_those_that_dateutil_counts_one_by_one(
    rule: str, interval: int, since: dt.datetime, ahead: int, length: int
) -> None:
    text = f"{rule};INTERVAL={interval}"
    served = plain(text)
    assert served is not None
    first = since.toordinal() + ahead
    last = first + length
    until = dt.datetime.combine(dt.date.fromordinal(last), dt.time.max)
    one_by_one = [it.toordinal() for it in rrulestr(text, dtstart=since).replace(until=until)]
    assert list(days_of(served, since, first, last)) == [it for it in one_by_one if it >= first]


@settings(max_examples=60, deadline=None)
@given(
    rule=st.sampled_from(
        [
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
            "FREQ=WEEKLY;BYDAY=TU,SU;WKST=SU",
            "FREQ=YEARLY;BYYEARDAY=100,-1",
            "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
            "FREQ=YEARLY;BYMONTH=3,4;BYDAY=1SU",
        ]
    ),
    interval=st.integers(1, 4),
    since=st.dates(dt.date(1975, 1, 1), dt.date(2026, 12, 31)),
    ahead=st.integers(-100, 6000),
)
def test_other_rules_are_passed_over_by_whole_periods_with_the_same_days(
    rule: str, interval: int, since: dt.date, ahead: int
) -> None:
    text, start = f"{rule};INTERVAL={interval}", dt.datetime.combine(since, dt.time(22))
    assert plain(text) is None
    after = start + dt.timedelta(days=ahead)
    before = after + dt.timedelta(days=900)
    one_by_one = list(rrulestr(text, dtstart=start).replace(until=before))
    recurrence = rrule(text, start, "Europe/Berlin")
    assert list(starts_of(recurrence, after, before)) == [it for it in one_by_one if it >= after]


def one(kind: str, name: str, rule: str, since: dt.datetime, wall: float) -> Entry:
    recurrence = rrule(rule, since, "Europe/Berlin")
    return Entry(kind=kind, name=name, zone="Europe/Berlin", recurrences=(recurrence,), length=Length(wall=wall))


def test_a_rule_with_an_interval_and_a_count_ends_where_it_is_counted_to() -> None:
    rule = rrule("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA;COUNT=1400", dt.datetime(1973, 1, 6, 22), "Europe/Berlin")
    every = list(rrulestr("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA;COUNT=1400", dtstart=dt.datetime(1973, 1, 6, 22)))
    entry = Entry(kind="window", name="w", zone="Europe/Berlin", recurrences=(rule,), length=Length(wall=7200))
    calendar = Calendar(name="eu", zone="Europe/Berlin", entries=(entry,))
    assert standing([calendar], SHOP, NOW).opens_at is None
    found = openings([calendar], SHOP, dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc).timestamp(), NOW)
    assert [dt.datetime.fromtimestamp(it.start, dt.timezone.utc).date() for it in found] == [
        it.date() for it in every if it.year == 2026 and it < dt.datetime(2026, 11, 26)
    ]


def test_the_next_29_february_is_found_behind_a_freeze_of_every_day() -> None:
    leap = one("window", "leap", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", dt.datetime(1972, 2, 29, 22), 7200)
    day = one("freeze", "day", "FREQ=DAILY", dt.datetime(1970, 1, 1), 22 * 3600)
    found = standing([Calendar(name="rare", zone="Europe/Berlin", entries=(leap, day))], SHOP, NOW)
    assert found.opens_at == dt.datetime(2028, 2, 29, 21, tzinfo=dt.timezone.utc).timestamp()


def test_a_29_february_on_a_sunday_comes_in_2032() -> None:
    rare = one("window", "rare", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU", dt.datetime(1976, 2, 29, 22), 7200)
    found = standing([Calendar(name="rare", zone="Europe/Berlin", entries=(rare,))], SHOP, NOW)
    assert found.opens_at == dt.datetime(2032, 2, 29, 21, tzinfo=dt.timezone.utc).timestamp()


def test_of_many_windows_that_overlap_the_one_that_ends_last_decides() -> None:
    """Twenty long ones have begun before the short one that is the newest."""
    days = days_rule("daily")
    long = days.model_copy(update={"since": days.since + dt.timedelta(hours=1)})
    entry = Entry(kind="window", name="long", zone="UTC", recurrences=(long,), length=Length(wall=20 * 86400))
    short = Entry(kind="freeze", name="short", zone="UTC", recurrences=(days,), length=Length(wall=3600))
    calendar = Calendar(name="utc", entries=(entry, short))
    early = standing([calendar], SHOP, NOW // 86400 * 86400 + 1800)
    assert (early.open, early.entry) == (False, "short")
    assert standing([calendar], SHOP, NOW).entry == "long"
    once = Entry(kind="freeze", name="old", zone="UTC", spans=((dt.datetime(2026, 1, 1), dt.datetime(2026, 12, 24)),))
    others = days.model_copy(update={"since": days.since + dt.timedelta(hours=1)})
    daily = Entry(kind="freeze", name="daily", zone="UTC", recurrences=(others,), length=Length(wall=15 * 86400))
    found = standing([Calendar(name="utc", entries=(once, daily))], SHOP, NOW)
    assert found.entry == "old"
