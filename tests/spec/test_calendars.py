"""Files of calendars: what they mean at an instant, and their mistakes as sentences. Values were computed by other means."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from release_pipelines.core.calendars import Asked, Calendar, openings, standing
from release_pipelines.spec.calendars import calendar_errors, load_calendar
from release_pipelines.spec.loader import SpecError
from tests.adapters.calendars.texts import event, ics

SHOP = Asked("shop", "production")


@pytest.fixture
def calendar(tmp_path: Path):
    def make(entries: str, zone: str = "Europe/Berlin", name: str = "eu") -> Calendar:
        path = tmp_path / f"{name}.yaml"
        path.write_text(f"time_zone: {zone}\nentries:\n{entries}")
        return load_calendar(path)

    return make


def at(text: str) -> float:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc).timestamp()


def iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%MZ")


def between(calendars: list[Calendar], start: str, end: str, asked: Asked = SHOP) -> list[str]:
    found = openings(calendars, asked, at(start), at(end))
    return [f"{iso(it.start)}/{iso(it.end)}" for it in found]


def is_open(calendar: Calendar, moment: str, asked: Asked = SHOP) -> bool:
    return standing([calendar], asked, at(moment)).open


def starts(calendar: Calendar, start: str, end: str) -> list[str]:
    return [it.split("/")[0] for it in between([calendar], start, end)]


@pytest.mark.parametrize(
    ("entry", "day", "right"),
    [
        ('{window: w, days: sun, from: "01:00", to: "03:30"}', "2026-03-22", "2026-03-22T00:00Z/2026-03-22T02:30Z"),
        ('{window: w, days: sun, from: "01:00", to: "03:30"}', "2026-03-29", "2026-03-29T00:00Z/2026-03-29T01:30Z"),
        ('{window: w, days: sun, from: "01:00", to: "03:30"}', "2026-10-25", "2026-10-24T23:00Z/2026-10-25T02:30Z"),
        ('{window: w, days: sat, from: "22:00", to: "06:00"}', "2026-03-29", "2026-03-28T21:00Z/2026-03-29T04:00Z"),
        ('{window: w, days: sat, from: "22:00", to: "06:00"}', "2026-10-25", "2026-10-24T20:00Z/2026-10-25T05:00Z"),
    ],
)
def test_the_clock_may_change_inside_of_a_window(calendar, entry, day, right):
    assert between([calendar(f"- {entry}")], f"{day}T00:00Z", f"{day}T03:00Z") == [right]


def test_a_window_that_clocks_leave_out_does_not_happen_and_a_doubled_one_is_one(calendar):
    gap = calendar('- {window: w, days: sun, from: "02:15", to: "02:45"}')
    assert between([gap], "2026-03-29T00:00Z", "2026-03-30T00:00Z") == []
    assert between([gap], "2026-10-25T00:00Z", "2026-10-26T00:00Z") == ["2026-10-25T00:15Z/2026-10-25T01:45Z"]


def test_a_border_in_the_gap_is_the_instant_of_the_change(calendar):
    york = calendar('- {window: w, days: sun, from: "01:30", to: "02:30"}', "America/New_York")
    assert between([york], "2026-03-08T00:00Z", "2026-03-09T00:00Z") == ["2026-03-08T06:30Z/2026-03-08T07:00Z"]
    assert between([york], "2026-11-01T00:00Z", "2026-11-02T00:00Z") == ["2026-11-01T05:30Z/2026-11-01T07:30Z"]


def test_a_length_is_exact_where_an_end_is_on_the_wall(calendar):
    exact = calendar('- {window: w, days: sat, from: "22:00", for: 8h}')
    assert between([exact], "2026-03-28T22:00Z", "2026-03-29T00:00Z") == ["2026-03-28T21:00Z/2026-03-29T05:00Z"]
    assert between([exact], "2026-10-24T22:00Z", "2026-10-25T00:00Z") == ["2026-10-24T20:00Z/2026-10-25T04:00Z"]


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(calendar):
    nights = calendar('- {window: w, days: mon-fri, from: "21:00", to: "05:00"}', "America/Los_Angeles")
    for moment in ("2026-11-27T10:00Z", "2026-11-28T10:00Z", "2026-12-01T12:59Z"):
        assert is_open(nights, moment)
    for moment in ("2026-11-29T06:00Z", "2026-11-30T10:00Z", "2026-12-01T13:00Z"):
        assert not is_open(nights, moment)


def test_the_last_day_of_a_month_goes_over_its_end(calendar):
    month = calendar('- {window: w, days: last day, from: "22:00", to: "02:00"}')
    for moment in ("2026-11-30T23:30Z", "2026-12-31T23:30Z", "2027-02-28T23:59Z"):
        assert is_open(month, moment)
    for moment in ("2026-12-01T01:00Z", "2026-12-01T21:30Z"):
        assert not is_open(month, moment)


def test_24_00_is_the_end_of_the_day(calendar):
    evening = calendar('- {window: w, days: daily, from: "23:00", to: "24:00"}')
    assert is_open(evening, "2026-11-27T22:59:30")
    assert not is_open(evening, "2026-11-27T23:00:00")


def test_zones_go_by_the_pinned_rules_whatever_the_system_has(calendar):
    vancouver = calendar('- {window: w, days: daily, from: "22:00", to: "02:00"}', "America/Vancouver")
    assert between([vancouver], "2026-12-02T05:00Z", "2026-12-02T09:00Z") == ["2026-12-02T05:00Z/2026-12-02T09:00Z"]


@pytest.mark.parametrize("begins", ["08:00", "2026-12-24T22:00:00", "2026-12-24 22:00"])
def test_what_yaml_reads_as_text_or_as_a_time_without_a_zone_is_read_as_meant(calendar, begins):
    if begins == "08:00":
        eu = calendar(f'- {{window: w, days: thu, from: {begins}, to: "9:00"}}')
        assert starts(eu, "2026-12-24T00:00Z", "2026-12-25T00:00Z") == ["2026-12-24T07:00Z"]
    else:
        eu = calendar(f"- {{freeze: f, from: {begins}, to: 2026-12-25}}")
        assert iso(standing([eu], SHOP, at("2026-12-24T12:00Z")).closes_at) == "2026-12-24T21:00Z"


@pytest.mark.parametrize(
    ("rule", "next_one"),
    [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA", "2026-11-28T21:00Z"),  # of the weeks from 26 October on
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;INTERVAL=3", "2028-02-29T21:00Z"),  # 2025 and each third year
        ("FREQ=MONTHLY;BYMONTHDAY=-2", "2026-11-29T21:00Z"),
        ("FREQ=MONTHLY;INTERVAL=5;BYDAY=5SU", "2027-08-29T20:00Z"),  # October, March (four Sundays), August
    ],
)
def test_intervals_are_counted_from_the_first_day(calendar, rule, next_one):
    starting = {"YEARLY": "2025-01-01", "WEEKLY": "2026-11-01"}.get(rule[5:11], "2026-10-01")
    eu = calendar(f'- {{window: w, rrule: {rule}, starting: {starting}, from: "22:00", to: "23:00"}}')
    assert iso(standing([eu], SHOP, at("2026-11-26T12:00Z")).opens_at) == next_one


LUNCH = """
- {window: week, days: mon-thu, from: "09:00", to: "17:00"}
- {window: friday, days: fri, from: "09:00", to: "14:00"}
- {freeze: lunch, days: daily, from: "13:02", for: 1h}
"""


def test_a_freeze_beats_a_window_and_closes_it(calendar):
    eu = calendar(LUNCH)
    now = standing([eu], SHOP, at("2026-11-27T09:00Z"))
    assert (now.open, iso(now.closes_at), now.entry) == (True, "2026-11-27T12:02Z", "friday")
    assert now.sentence == 'open: "friday" of calendar eu until Fri 27 Nov 2026 13:02 CET, when freeze "lunch" begins'
    assert is_open(eu, "2026-11-27T12:01Z")
    assert not is_open(eu, "2026-11-27T12:02Z")
    assert not is_open(eu, "2026-11-27T13:01Z")
    assert not is_open(eu, "2026-11-26T12:30Z")
    assert is_open(eu, "2026-11-26T13:02Z")
    assert not is_open(eu, "2026-11-26T16:00Z")


@pytest.mark.parametrize(
    ("freeze", "opens", "closes"),
    [
        ("", "2026-11-30T08:00Z", "2026-11-30T12:02Z"),
        ('- {freeze: m, from: "2026-11-30 08:00", to: "2026-11-30 10:00"}', "2026-11-30T09:00Z", "2026-11-30T12:02Z"),
        ('- {freeze: m, from: "2026-11-30 08:00", to: "2026-11-30 17:30"}', "2026-12-01T08:00Z", "2026-12-01T12:02Z"),
    ],
)
def test_the_next_opening_is_the_one_that_no_freeze_takes(calendar, freeze, opens, closes):
    eu = calendar(LUNCH + freeze)
    now = standing([eu], SHOP, at("2026-11-27T14:30Z"))
    assert iso(now.opens_at) == opens
    assert iso(standing([eu], SHOP, now.opens_at).closes_at) == closes


def test_a_scope_of_several_means_all_of_them_and_a_window_of_another_app_closes_nothing(calendar):
    eu = calendar(
        '- {window: w, days: sat, from: "20:00", to: "24:00", apps: [shop], environments: [production]}\n'
        '- {freeze: f, days: mon, from: "08:00", to: "09:00"}'
    )
    assert not is_open(eu, "2026-11-27T12:00Z")
    assert is_open(eu, "2026-11-27T12:00Z", Asked("shop", "staging"))
    assert is_open(eu, "2026-11-27T12:00Z", Asked("cart", "production"))
    assert not is_open(eu, "2026-11-30T07:30Z", Asked("cart", "production"))


def test_two_calendars_must_both_agree(calendar):
    both = [
        calendar('- {window: w, days: sat, from: "20:00", to: "24:00"}', name="environment"),
        calendar('- {window: w, days: sat, from: "22:00", to: "02:00"}', name="app"),
    ]
    assert between(both, "2026-11-28T00:00Z", "2026-11-30T00:00Z") == ["2026-11-28T21:00Z/2026-11-28T23:00Z"]


def test_the_last_friday_is_not_the_fourth(calendar):
    last = calendar('- {window: w, days: last fri, from: "22:00", to: "23:00"}')
    days = ["01-30", "02-27", "03-27", "04-24", "05-29", "06-26", "07-31", "08-28", "09-25", "10-30", "11-27"]
    assert [it[5:10] for it in starts(last, "2026-01-01T00:00Z", "2026-12-01T00:00Z")] == days
    assert starts(last, "2026-10-30T00:00Z", "2026-10-31T00:00Z") == ["2026-10-30T21:00Z"]


def test_a_month_without_such_a_day_has_none(calendar):
    fifth = calendar('- {window: w, days: 5th fri, from: "22:00", to: "23:00"}')
    days = ["2026-01-30", "2026-05-29", "2026-07-31", "2026-10-30", "2027-01-29"]
    assert [it[:10] for it in starts(fifth, "2026-01-01T00:00Z", "2027-02-01T00:00Z")] == days
    assert (
        len(starts(calendar('- {window: w, days: day 31, from: "22:00", to: "23:00"}'), "2026-01-01", "2027-01-01"))
        == 7
    )
    assert (
        len(starts(calendar('- {window: w, days: last day, from: "22:00", to: "23:00"}'), "2026-01-01", "2027-01-01"))
        == 12
    )


def test_a_day_may_come_after_another_days_rule(calendar):
    patch = calendar('- {window: w, days: sat after 2nd tue, from: "22:00", to: "23:00"}')
    days = ["01-17", "02-14", "03-14", "04-18", "05-16", "06-13", "07-18", "08-15", "09-12", "10-17", "11-14"]
    assert [it[5:10] for it in starts(patch, "2026-01-01T00:00Z", "2026-12-01T00:00Z")] == days


def test_the_weekday_is_that_of_the_wall(calendar):
    monday = calendar('- {window: w, days: mon, from: "00:30", to: "01:00"}', "Pacific/Auckland")
    found = starts(monday, "2026-09-12T00:00Z", "2026-09-28T00:00Z")
    assert found == ["2026-09-13T12:30Z", "2026-09-20T12:30Z", "2026-09-27T11:30Z"]


def test_a_recurrence_of_long_ago_goes_on(calendar):
    old = calendar('- {window: w, rrule: FREQ=DAILY, starting: 1970-01-01, from: "22:00", to: "24:00"}')
    assert is_open(old, "2026-11-26T21:30Z")
    assert iso(standing([old], SHOP, at("2026-11-27T12:00Z")).opens_at) == "2026-11-27T21:00Z"


@pytest.mark.parametrize(
    ("rule", "next_one"),
    [
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2028-02-29T21:00Z"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU", "2032-02-29T21:00Z"),
    ],
)
def test_a_rare_day_is_found(calendar, rule, next_one):
    rare = calendar(f'- {{window: w, rrule: {rule}, starting: 1970-01-01, from: "22:00", to: "23:00"}}')
    assert iso(standing([rare], SHOP, at("2026-11-27T12:00Z")).opens_at) == next_one


def test_one_long_span_is_found_from_its_middle(calendar):
    long = calendar("- {freeze: f, from: 2026-11-01, to: 2026-12-31}")
    assert not is_open(long, "2026-12-10T12:00Z")
    assert iso(standing([long], SHOP, at("2026-12-10T12:00Z")).opens_at) == "2026-12-31T23:00Z"


def test_a_far_freeze_is_seen_from_behind_another_one(calendar):
    two = calendar("- {freeze: f, from: 2026-12-24, to: 2026-12-26}\n- {freeze: g, from: 2027-01-01, to: 2027-01-01}")
    assert is_open(two, "2026-11-21T21:30Z")
    assert iso(standing([two], SHOP, at("2026-12-26T23:00Z")).closes_at) == "2026-12-31T23:00Z"
    assert not is_open(two, "2027-01-01T12:00Z")


def test_days_are_left_out(calendar):
    weekly = calendar('- {window: w, days: wed, from: "22:00", to: "24:00", except: [2026-09-09]}')
    found = starts(weekly, "2026-09-01T00:00Z", "2026-09-20T00:00Z")
    assert found == ["2026-09-02T20:00Z", "2026-09-16T20:00Z"]


def test_no_calendar_is_open_and_a_broken_one_is_closed():
    assert standing([], SHOP, 0).open
    now = standing([Calendar(name="eu", broken="it does not answer")], SHOP, 0)
    assert (now.open, now.opens_at, now.sentence) == (
        False,
        None,
        "closed: calendar eu: it does not answer",
    )


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ('{window: w, days: mon, from: 22:00, to: "23:00"}', "the number 1320 (YAML reads 22:00 without quotes so)"),
        ('{window: w, days: mon, from: 10:00:00, to: "23:00"}', "the number 36000"),
        ('{window: w, days: mon, from: "22:00", to: "22:00"}', "`to` that is not `from`"),
        ('{window: w, days: mon, from: "25:00", to: "22:00"}', "a time in quotes"),
        ('{window: w, days: mon, from: 9:00, to: "23:00"}', "the number 540 (YAML reads 9:00 without quotes so)"),
        ('{window: w, days: mon, from: "9:00", to: 24:00}', "the number 1440 (YAML reads 24:00 without quotes so)"),
        ('{window: w, days: mon, from: "24:00", to: "02:00"}', 'a `from` before "24:00"'),
        ("{freeze: f, from: 2026-12-24T22:00:00+01:00, to: 2026-12-25}", "without an offset: `time_zone` says where"),
        (
            '{window: w, days: on, from: "21:00", to: "22:00"}',
            "entries[0].days: found true, expected words in quotes: without them YAML reads on, off, yes and no as true or false",
        ),
        ('{window: w, days: day 32, from: "21:00", to: "22:00"}', "found `day 32`"),
        ('{window: w, days: moon, from: "21:00", to: "22:00"}', "found `moon`"),
        ('{window: w, days: mon, from: "22:00"}', "`to` or `for`"),
        ('{window: w, days: mon, from: "22:00", for: 0s}', "a `for` above 0"),
        (
            "{window: w, from: 2026-12-24, to: 2026-12-23}",
            "entries[0]: found `2026-12-24` to `2026-12-23`, expected a `to` after `from`",
        ),
        ('{window: w, days: mon, from: "22:00", to: "22:00"}', "found `22:00` to `22:00`, expected a `to` that is not"),
        (
            "{freeze: f, from: 2026-02-30, to: 2026-03-02}",
            "eu.yaml: line 3: found `2026-02-30` (day is out of range for month)",
        ),
        ("{window: w, from: 2026-12-24}", "a `from` and a `to` with their days"),
        ('{window: w, days: mon, from: "1:00", to: "2:00", time_zone: europe/berlin}', "did you mean `Europe/Berlin`?"),
        ('{window: w, days: mon, from: "1:00", to: "2:00", time_zone: Berlin}', "did you mean `Europe/Berlin`?"),
        ('{window: w, days: mon, from: "1:00", to: "2:00", time_zone: UTC+2}', "did you mean `Etc/GMT-2`?"),
        ("{window: w, rrule: FREQ=MINUTELY, starting: 2020-01-01}", "not finer than daily"),
        ("{window: w, rrule: FREQ=DAILY;BYHOUR=3, starting: 2020-01-01}", "not finer than daily"),
        ("{window: w, rrule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30, starting: 2020-01-01}", "never comes"),
        ("{window: w, rrule: FREQ=NEVER, starting: 2020-01-01}", "a rule of RFC 5545"),
        ("{freeze: f, window: w, days: mon}", "one of `window` and `freeze`"),
    ],
)
def test_a_mistake_is_a_sentence(calendar, entry, sentence):
    with pytest.raises(SpecError) as error:
        calendar(f"- {entry}")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("ics: a.ics\nconnection: c", "one of `entries`, `ics`, `connection` and `aws`"),
        ("ics: a.ics\nentries: [{freeze: f, from: 2026-12-24, to: 2026-12-26}]", "one of `entries`, `ics`"),
        ("ics: https://ops:pear@calendar.example/a.ics", "an address without a password"),
        ("ics: http://ops:pear@calendar.example/a.ics", "an address without a password"),
        (
            "ics: http://calendar.example/pear.ics",
            "ics: found one with http://, expected an address that begins with https://",
        ),
        ("ics: http://localhost.example/pear.ics", "an address that begins with https://"),
        ("ics: ftp://calendar.example/a.ics", "an address that begins with https://"),
        ("ics: webcal://calendar.example/a.ics", "an address that begins with https://"),
        ("ics: ../a.ics", "a file in the calendars' folder"),
        ("ics: /etc/a.ics", "a file in the calendars' folder"),
        ("ics: a.ics", "found `a.ics`, which is no file, expected a file in"),
        ("ics: a.ics\nmax_age: 1h", "`max_age` beside an address"),
        ("connection: c\nmax_age: 0s", "max_age"),
        ("connection: c\nevents: freeze", "one of `freezes`, `windows`"),
        ("aws: {document: ops}\nevents: windows", "no `events` beside `aws`"),
        ("aws: {}", "aws.document"),
        ("entries: []\napps: shop", "`apps` beside `ics`, `connection` or `aws`"),
        ("ics: a.ics\ntime_zone: Berlin", "did you mean `Europe/Berlin`?"),
    ],
)
def test_a_mistake_in_where_entries_are_kept_is_a_sentence(tmp_path: Path, keys: str, sentence: str):
    (tmp_path / "ops.yaml").write_text(keys)
    with pytest.raises(SpecError) as error:
        load_calendar(tmp_path / "ops.yaml")
    assert sentence in str(error.value)
    assert "pear" not in str(error.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080"])
def test_an_address_on_this_machine_needs_no_https(tmp_path: Path, host: str):
    (tmp_path / "ops.yaml").write_text(f'ics: "http://{host}/a.ics"')
    assert load_calendar(tmp_path / "ops.yaml").source == f"http://{host}/a.ics"


def test_an_icalendar_file_beside_the_calendar_is_read_with_its_zone_and_scope(tmp_path: Path):
    (tmp_path / "ops.yaml").write_text("ics: ops.ics\ntime_zone: Europe/Berlin\ntags: [web]\n")
    days = event("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227", summary="Christmas")
    (tmp_path / "ops.ics").write_text(ics(days))
    found = load_calendar(tmp_path / "ops.yaml")
    web = Asked("shop", "production", frozenset({"web"}))
    assert not is_open(found, "2026-12-23T23:00Z", web)
    assert not is_open(found, "2026-12-26T22:59Z", web)
    assert is_open(found, "2026-12-26T23:00Z", web)
    assert is_open(found, "2026-12-25T12:00Z")


def test_all_mistakes_of_an_icalendar_file_are_told_with_file_and_entry(tmp_path: Path):
    (tmp_path / "ops.yaml").write_text("ics: ops.ics\n")
    (tmp_path / "ops.ics").write_text(ics(event("DTSTART:x", uid="1"), event("DTSTART;VALUE=DATE:20261224", uid="2")))
    first, second = map(str, calendar_errors([tmp_path / "ops.yaml"]))
    assert first == 'ops.ics: "freeze" (x): DTSTART with a time like 20261224T220000 is expected, found `x`'
    assert second.startswith('ops.ics: "freeze" (20261224): a time with a zone is expected')
