"""What iCalendar texts mean. Instants were computed by other means, mostly by hand."""

from __future__ import annotations

import pytest

from release_pipelines.adapters.calendars.ics import Unreadable
from release_pipelines.adapters.calendars.lines import NoCalendar, calendars_in
from release_pipelines.core.calendars import Asked, Calendar, standing
from tests.adapters.calendars.texts import at, described, event, ics, read, starts, times

SHOP = Asked("shop", "production")
NIGHTS = (
    "DTSTART;TZID=Europe/Berlin:20260902T220000",
    "DTEND;TZID=Europe/Berlin:20260903T000000",
    "RRULE:FREQ=WEEKLY;COUNT=4",
)
NIGHT_STARTS = [f"2026-09-{day:02}T20:00Z" for day in (2, 9, 16, 23)]
IN_OCTOBER = ("DTSTART;TZID=Europe/Berlin:20261011T220000", "DTEND;TZID=Europe/Berlin:20261012T000000")


def mistake(*parts: str, **how) -> str:
    with pytest.raises(Unreadable) as error:
        read(*parts, **how)
    return str(error.value)


# --- an end, or a length ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "length", "spring", "autumn"),
    [
        ("220000", "DTEND;TZID=Europe/Berlin:20260104T060000", "2026-03-29T04:00Z", "2026-10-25T05:00Z"),
        ("220000", "DURATION:PT8H", "2026-03-29T05:00Z", "2026-10-25T04:00Z"),
        ("120000", "DURATION:P1D", "2026-03-29T10:00Z", "2026-10-25T11:00Z"),
        ("120000", "DURATION:PT24H", "2026-03-29T11:00Z", "2026-10-25T10:00Z"),
    ],
)
def test_an_end_and_days_are_kept_on_the_wall_and_hours_are_hours(clock, length, spring, autumn):
    found = read(event(f"DTSTART;TZID=Europe/Berlin:20260103T{clock}", length, "RRULE:FREQ=WEEKLY;BYDAY=SA"))
    ends = [
        [it.split("/")[1] for it in times(found, f"{day}T21:30Z", f"{day}T22:00Z")]
        for day in ("2026-03-28", "2026-10-24")
    ]
    assert ends == [[spring], [autumn]]


def test_an_end_in_another_zone_makes_it_exactly_so_long():
    there = ("DTSTART;TZID=Europe/Berlin:20260103T220000", "DTEND;TZID=America/New_York:20260104T000000")
    found = read(event(*there, "RRULE:FREQ=WEEKLY;BYDAY=SA"))
    assert times(found, "2026-03-28T21:30Z", "2026-03-28T22:00Z") == ["2026-03-28T21:00Z/2026-03-29T05:00Z"]


def test_an_occurrence_in_the_gap_lasts_from_the_change_to_its_end():
    york = ("DTSTART;TZID=America/New_York:20260301T023000", "DTEND;TZID=America/New_York:20260301T033000")
    found = read(event(*york, "RRULE:FREQ=DAILY"))
    assert times(found, "2026-03-08T00:00Z", "2026-03-09T00:00Z") == ["2026-03-08T07:00Z/2026-03-08T07:30Z"]


@pytest.mark.parametrize(
    "lines",
    [
        ("DTSTART:20260714T220000Z", "DTEND:20260714T200000Z"),
        ("DTSTART:20260714T220000Z", "DTEND:20260714T220000Z"),
        ("DTSTART:20260714T220000Z",),
        ("DTSTART:20260714T220000Z", "DURATION:-PT1H"),
        ("DTSTART:20260714T220000Z", "DURATION:PT0S"),
        ("DTSTART:20260714T220000Z", "DURATION:8h"),
        ("DTSTART:20260714T220000Z", "DURATION:PT1H", "DTEND:20260714T230000Z"),
        ("DTSTART;VALUE=DATE:20260714", "DTEND:20260714T230000Z"),
        ("DTSTART;VALUE=DATE:20260714", "DTEND;VALUE=DATE:20260713"),
        ("DTSTART;TZID=Europe/Berlin:20260714T220000", "DTEND;TZID=Europe/London:20260714T200000"),
    ],
)
def test_what_has_no_length_is_a_mistake_that_names_the_entry(lines):
    assert '"freeze" (20260714' in mistake(event(*lines))


# --- exceptions: left out, moved, cancelled ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "exception",
    [
        "EXDATE:20260909T200000Z",
        "EXDATE;TZID=America/New_York:20260909T160000",
        "EXDATE;VALUE=DATE:20260909",
        "EXDATE;TZID=Europe/Berlin:20260909T220000",
        "EXDATE:20260909T220000",
    ],
)
def test_an_occurrence_is_left_out_in_whatever_form_it_is_named(exception):
    found = read(event(*NIGHTS, exception))
    assert starts(found) == [NIGHT_STARTS[0], *NIGHT_STARTS[2:]]
    assert found.notes == ()


def test_several_are_left_out_by_one_line():
    assert starts(read(event(*NIGHTS, "EXDATE:20260909T200000Z,20260923T200000Z"))) == [
        NIGHT_STARTS[0],
        NIGHT_STARTS[2],
    ]


def test_what_is_left_out_and_is_no_occurrence_is_told():
    found = read(event(*NIGHTS, "EXDATE;TZID=Europe/Berlin:20260909T220100"))
    assert starts(found) == NIGHT_STARTS
    assert found.notes == ('"freeze": EXDATE 20260909T220100 fits none of its occurrences',)


@pytest.mark.parametrize("exception", ["EXDATE:20260329T010000Z", "EXDATE:20260329T013000Z"])
def test_one_in_the_gap_is_left_out_whichever_clock_the_other_program_counted_with(exception):
    gap = ("DTSTART;TZID=Europe/Berlin:20260322T023000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=2", exception)
    assert starts(read(event(*gap))) == ["2026-03-22T01:30Z"]


@pytest.mark.parametrize(
    "exception", ["EXDATE:20260908T220000Z", "EXDATE:20260909T000000Z", "EXDATE;VALUE=DATE:20260909"]
)
def test_a_whole_day_is_left_out_also_by_a_time(exception):
    days = ("DTSTART;VALUE=DATE:20260902", "RRULE:FREQ=WEEKLY;COUNT=3", exception)
    assert starts(read(event(*days))) == ["2026-09-01T22:00Z", "2026-09-15T22:00Z"]


@pytest.mark.parametrize(
    "which", [":20260909T200000Z", ";TZID=America/New_York:20260909T160000", ";VALUE=DATE:20260909"]
)
def test_an_occurrence_that_is_moved_far_away_happens_there_and_not_here(which):
    found = read(event(*NIGHTS), event(f"RECURRENCE-ID{which}", *IN_OCTOBER, summary="moved"))
    assert times(found, "2026-10-01T00:00Z", "2026-11-01T00:00Z") == ["2026-10-11T20:00Z/2026-10-11T22:00Z"]
    assert starts(found, end="2026-10-01T00:00Z") == [NIGHT_STARTS[0], *NIGHT_STARTS[2:]]


def test_the_moved_one_may_stand_before_its_series_and_keeps_its_name():
    moved = event("RECURRENCE-ID:20260909T200000Z", *IN_OCTOBER).replace("SUMMARY:freeze\n", "")
    found = read(moved, event(*NIGHTS, summary="nights"))
    assert [it.name for it in found.entries] == ["nights", "nights"]
    assert "2026-10-11T20:00Z" in starts(found)


def test_a_moved_one_that_replaces_nothing_happens_and_is_told():
    found = read(event(*NIGHTS), event("RECURRENCE-ID:20260910T200000Z", *IN_OCTOBER))
    assert starts(found) == [*NIGHT_STARTS, "2026-10-11T20:00Z"]
    assert found.notes == ('"freeze": RECURRENCE-ID 20260910T200000Z fits none of its occurrences',)


def test_one_without_its_series_happens():
    assert starts(read(event("RECURRENCE-ID:20260909T200000Z", *IN_OCTOBER))) == ["2026-10-11T20:00Z"]


def test_a_cancelled_occurrence_is_gone_and_of_a_cancelled_series_nothing_is_left():
    cancelled = event("RECURRENCE-ID:20260909T200000Z", "STATUS:CANCELLED", *IN_OCTOBER)
    assert starts(read(event(*NIGHTS), cancelled)) == [NIGHT_STARTS[0], *NIGHT_STARTS[2:]]
    moved = event("RECURRENCE-ID:20260909T200000Z", *IN_OCTOBER)
    assert starts(read(event(*NIGHTS, "STATUS:CANCELLED"), moved)) == []


def test_of_several_states_of_an_event_the_highest_sequence_counts():
    old, new = event("SEQUENCE:1", *NIGHTS), event("SEQUENCE:2", *IN_OCTOBER)
    assert starts(read(old, new)) == starts(read(new, old)) == ["2026-10-11T20:00Z"]
    first = event("RECURRENCE-ID:20260909T200000Z", "SEQUENCE:1", "STATUS:CANCELLED", *IN_OCTOBER)
    second = event("RECURRENCE-ID;TZID=Europe/Berlin:20260909T220000", "SEQUENCE:2", *IN_OCTOBER)
    assert starts(read(event(*NIGHTS), second, first))[-1] == "2026-10-11T20:00Z"


def test_two_events_with_one_uid_are_a_mistake_unless_they_are_the_same():
    assert "one UID and SEQUENCE twice" in mistake(event(*NIGHTS), event(*IN_OCTOBER))
    assert starts(read(event(*NIGHTS), event(*NIGHTS))) == NIGHT_STARTS


def test_one_uid_for_two_events_that_were_changed_at_other_times_is_told():
    old, new = event("DTSTAMP:20260101T000000Z", *NIGHTS, summary="old"), event("DTSTAMP:20260102T000000Z", *IN_OCTOBER)
    found = read(new, old)
    assert starts(found) == ["2026-10-11T20:00Z"]
    assert found.notes == ('"old" has the UID and the SEQUENCE of "freeze", which was changed later and counts alone',)


def test_events_without_a_uid_are_events_of_their_own():
    first, second = (event(*it, uid="").replace("UID:\n", "") for it in (NIGHTS, IN_OCTOBER))
    assert len(starts(read(first, second))) == 5


def test_additional_occurrences_in_any_form():
    more = (
        "RDATE:20261001T200000Z",
        "RDATE;TZID=Europe/Berlin:20261002T220000",
        "RDATE;VALUE=PERIOD:20261003T200000Z/PT1H,20261004T200000Z/20261004T203000Z",
    )
    found = times(read(event(*NIGHTS, *more)), "2026-10-01T00:00Z", "2026-11-01T00:00Z")
    assert found == [
        "2026-10-01T20:00Z/2026-10-01T22:00Z",
        "2026-10-02T20:00Z/2026-10-02T22:00Z",
        "2026-10-03T20:00Z/2026-10-03T21:00Z",
        "2026-10-04T20:00Z/2026-10-04T20:30Z",
    ]
    left = read(event(*NIGHTS, *more, "EXDATE:20261001T200000Z", "EXDATE;TZID=Europe/Berlin:20261003T220000"))
    assert starts(left, "2026-10-01T00:00Z") == ["2026-10-02T20:00Z", "2026-10-04T20:00Z"]


def test_free_and_tentative_freezes_count_and_say_so_and_a_tentative_window_opens_nothing():
    lines = (*IN_OCTOBER, "DESCRIPTION:audit\\, yearly", "TRANSP:TRANSPARENT", "STATUS:TENTATIVE")
    (freeze,) = read(event(*lines)).entries
    assert freeze.reason == "audit, yearly, tentative, shown as free"
    windows = read(event(*lines), kind="window")
    assert windows.entries == ()
    assert windows.notes == ('"freeze" is tentative and opens nothing',)
    (window,) = read(event(*IN_OCTOBER, "TRANSP:TRANSPARENT"), kind="window").entries
    assert window.reason == "shown as free"


def test_changes_of_a_whole_tail_and_rules_that_leave_out_are_refused():
    tail = event("RECURRENCE-ID;RANGE=THISANDFUTURE:20260909T200000Z", *IN_OCTOBER)
    assert "RANGE" in mistake(event(*NIGHTS), tail)
    assert "of the kind of DTSTART" in mistake(event(*NIGHTS, "RDATE;VALUE=DATE:20261001"))
    assert "EXDATE instead of EXRULE" in mistake(event(*NIGHTS, "EXRULE:FREQ=WEEKLY;INTERVAL=2"))


# --- whole days and times without a zone -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "right"),
    [
        ("Europe/Berlin", "2026-12-23T23:00Z/2026-12-26T23:00Z"),
        ("America/New_York", "2026-12-24T05:00Z/2026-12-27T05:00Z"),
    ],
)
def test_the_last_day_is_not_included_and_the_calendar_says_the_zone(zone, right):
    days = event("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227")
    assert times(read(days, zone=zone), "2026-12-01T00:00Z", "2027-01-01T00:00Z") == [right]


@pytest.mark.parametrize("end", [(), ("DTEND;VALUE=DATE:20261224",), ("DURATION:P1D",)])
def test_a_day_without_an_end_or_that_ends_as_it_begins_is_one_day(end):
    found = times(read(event("DTSTART;VALUE=DATE:20261224", *end)), "2026-12-01T00:00Z", "2027-01-01T00:00Z")
    assert found == ["2026-12-23T23:00Z/2026-12-24T23:00Z"]


def test_a_time_without_a_zone_holds_where_the_calendar_says_then_where_the_file_says():
    floating = event("DTSTART:20260714T220000", "DURATION:PT2H")
    assert starts(read(floating)) == ["2026-07-14T20:00Z"]
    assert starts(read("X-WR-TIMEZONE:Europe/Berlin", floating, zone=None)) == ["2026-07-14T20:00Z"]
    assert starts(read("X-WR-TIMEZONE:America/New_York", floating)) == ["2026-07-14T20:00Z"]
    assert starts(read("X-WR-TIMEZONE:W. Europe Standard Time", floating, zone=None)) == ["2026-07-14T20:00Z"]
    for head in ("X-COMMENT:none", described("Europe/Berlin", 1)):
        assert "neither `time_zone` of the calendar nor X-WR-TIMEZONE" in mistake(head, floating, zone=None)


def test_a_time_in_utc_stays_there_when_clocks_change():
    weekly = event("DTSTART:20260303T200000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY")
    found = read("X-WR-TIMEZONE:Europe/Berlin", weekly)
    assert starts(found, "2026-03-24T00:00Z", "2026-04-01T00:00Z") == ["2026-03-24T20:00Z", "2026-03-31T20:00Z"]


# --- zones -------------------------------------------------------------------------------------------------------------


def in_zone(name: str) -> str:
    return event(f"DTSTART;TZID={name}:20260714T220000", f"DTEND;TZID={name}:20260715T020000")


@pytest.mark.parametrize(
    "parts",
    [
        (in_zone("W. Europe Standard Time"),),
        (in_zone('"W. Europe Standard Time"'),),
        (described("Mitteleuropäische Zeit", 1), in_zone("Mitteleuropäische Zeit")),
        (in_zone("/vendor.example/20260101_1/Europe/Berlin"),),
        (described("Berlin", 1), in_zone("Berlin")),
    ],
)
def test_zones_by_the_names_of_windows_of_vendors_and_of_a_file_of_its_own(parts):
    found = read(*parts, zone=None)
    assert times(found, "2026-07-01T00:00Z", "2026-08-01T00:00Z") == ["2026-07-14T20:00Z/2026-07-15T00:00Z"]
    assert found.notes == ()


def test_a_zone_of_its_own_has_its_own_changes_of_clocks_far_ahead_and_their_gaps():
    own = "Mitteleuropäische Zeit"
    weekly = event(f"DTSTART;TZID={own}:20260103T220000", f"DTEND;TZID={own}:20260104T060000", "RRULE:FREQ=WEEKLY")
    found = read(described(own, 1), weekly, zone=None)
    for day, right in {
        "2026-03-28": "2026-03-28T21:00Z/2026-03-29T04:00Z",
        "2026-10-24": "2026-10-24T20:00Z/2026-10-25T05:00Z",
        "2060-07-10": "2060-07-10T20:00Z/2060-07-11T04:00Z",
    }.items():
        assert times(found, f"{day}T22:00Z", f"{day}T23:00Z") == [right]


def test_a_zone_described_by_single_days_and_by_rules_that_ended():
    lines = [
        "BEGIN:VTIMEZONE", "TZID:Plant",
        "BEGIN:STANDARD", "DTSTART:20200101T000000", "TZOFFSETFROM:+0200", "TZOFFSETTO:+0545", "END:STANDARD",
        "BEGIN:DAYLIGHT", "DTSTART:20260701T000000", "RDATE:20270701T000000", "TZOFFSETFROM:+0545", "TZOFFSETTO:-0330", "END:DAYLIGHT",
        "BEGIN:STANDARD", "DTSTART:20260801T000000", "RRULE:FREQ=YEARLY;UNTIL=20270801T033000Z",
        "TZOFFSETFROM:-0330", "TZOFFSETTO:+0545", "END:STANDARD",
        "END:VTIMEZONE",
    ]  # fmt: skip
    noon = event("DTSTART;TZID=Plant:20260615T120000", "DURATION:PT1H", "RRULE:FREQ=MONTHLY")
    found = read("\n".join(lines), noon, zone=None)
    assert starts(found, "2026-06-01T00:00Z", "2026-09-01T00:00Z") == [
        "2026-06-15T06:15Z",
        "2026-07-15T15:30Z",
        "2026-08-15T06:15Z",
    ]
    assert starts(found, "2027-07-01T00:00Z", "2027-09-01T00:00Z") == ["2027-07-15T15:30Z", "2027-08-15T06:15Z"]
    assert starts(found, "2028-07-01T00:00Z", "2028-08-01T00:00Z") == ["2028-07-15T06:15Z"]


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("Mitteleuropäische Zeit", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("UTC+2", "Etc/GMT-2"),
        ("W Europe Standard Time", "Europe/Berlin"),
        ('"(UTC+01:00) Amsterdam, Berlin, Bern"', "Europe/Amsterdam"),
    ],
)
def test_a_zone_that_nobody_knows_is_a_mistake_with_a_guess(name, guess):
    said = mistake(in_zone(name))
    assert said.startswith('"freeze" (20260714T220000): ')
    assert name.strip('"') in said
    assert f"did you mean `{guess}`?" in said


def test_a_word_that_the_file_describes_means_what_it_describes_and_both_instants_are_told():
    found = read(described("GMT", 0), event("DTSTART;TZID=GMT:20260723T102000", "DURATION:PT1H"))
    assert starts(found) == ["2026-07-23T09:20Z"]
    (note,) = found.notes
    assert "Thu 23 Jul 2026 09:20 UTC by its VTIMEZONE, which counts" in note
    assert "Thu 23 Jul 2026 10:20 UTC by the time zone database" in note


def test_a_place_counts_by_the_database_and_both_instants_are_told_where_the_file_says_otherwise():
    found = read(
        described("America/Vancouver", 0), event("DTSTART;TZID=America/Vancouver:20261201T220000", "DURATION:PT4H")
    )
    assert starts(found) == ["2026-12-02T05:00Z"]
    (note,) = found.notes
    assert "Wed 2 Dec 2026 05:00 UTC by the time zone database, which counts" in note
    assert "Tue 1 Dec 2026 22:00 UTC by its VTIMEZONE" in note


def test_a_file_that_describes_a_zone_as_it_is_or_was_long_ago_is_not_doubted():
    weekly = "RRULE:FREQ=WEEKLY"
    found = read(
        described("Europe/Berlin", 1), event("DTSTART;TZID=Europe/Berlin:19700106T220000", "DURATION:PT1H", weekly)
    )
    assert found.notes == ()


@pytest.mark.parametrize(
    "broken",
    ["TZOFFSETTO:+0000\n", "DTSTART:16010101T020000\n", "FREQ=YEARLY;INTERVAL=1"],
)
def test_a_zone_of_its_own_that_cannot_be_read_is_a_mistake(broken):
    text = described("Plant", 0)
    assert "VTIMEZONE" in mistake(text.replace(broken, "FREQ=SECONDLY" if "FREQ" in broken else ""), in_zone("Plant"))


# --- rules -------------------------------------------------------------------------------------------------------------

ANGELES = ("DTSTART;TZID=America/Los_Angeles:20260303T200000", "DTEND;TZID=America/Los_Angeles:20260303T220000")


@pytest.mark.parametrize(
    ("until", "count"),
    [("20260318T030000Z", 3), ("20260317", 3), ("20260317T200000", 3), ("20260318T025959Z", 2)],
)
def test_the_last_start_is_included_in_whichever_form_it_is_given(until, count):
    found = read(event(*ANGELES, f"RRULE:FREQ=WEEKLY;BYDAY=TU;UNTIL={until}"))
    assert starts(found) == ["2026-03-04T04:00Z", "2026-03-11T03:00Z", "2026-03-18T03:00Z"][:count]


@pytest.mark.parametrize(("until", "count"), [("20201025T003000Z", 2), ("20201025T002959Z", 1)])
def test_of_a_time_that_clocks_show_twice_the_first_one_decides(until, count):
    daily = ("DTSTART;TZID=Europe/Amsterdam:20201024T023000", "DURATION:PT15M", f"RRULE:FREQ=DAILY;UNTIL={until}")
    found = starts(read(event(*daily)), "2020-10-01T00:00Z", "2020-11-01T00:00Z")
    assert found == ["2020-10-24T00:30Z", "2020-10-25T00:30Z"][:count]


@pytest.mark.parametrize("until", ["20260318", "20260318T000000Z", "20260318T235959Z"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_the_last_of_whole_days_is_a_day_whatever_time_is_written_with_it(until, zone):
    found = read(event("DTSTART;VALUE=DATE:20260304", f"RRULE:FREQ=WEEKLY;UNTIL={until}"), zone=zone)
    assert len(starts(found)) == 3


def test_a_first_day_that_is_none_of_the_rule_is_refused_beside_a_count_and_else_told():
    wednesday = ("DTSTART;TZID=Europe/Berlin:20260902T220000", "DURATION:PT1H")
    assert "beside COUNT" in mistake(event(*wednesday, "RRULE:FREQ=WEEKLY;BYDAY=SA;COUNT=3"))
    endless = event(*wednesday, "RRULE:FREQ=WEEKLY;BYDAY=SA")
    for kind, first in {"freeze": "2026-09-02T20:00Z", "window": "2026-09-05T20:00Z"}.items():
        found = read(endless, kind=kind)
        assert starts(found)[0] == first
        assert "leaves open" in found.notes[0]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=MINUTELY",
        "FREQ=HOURLY;INTERVAL=24",
        "FREQ=DAILY;BYHOUR=22",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=WEEKLY;UNTIL=20200101T000000Z",
        "FREQ=WEEKLY;COUNT=2;UNTIL=20261231",
        "FREQ=FORTNIGHTLY",
        "nonsense",
    ],
)
def test_a_rule_that_is_too_fine_never_comes_or_is_none_is_a_mistake(rule):
    assert "RRULE: " in mistake(event("DTSTART:20260901T200000Z", "DURATION:PT1H", f"RRULE:{rule}"))


def test_one_that_has_come_every_day_since_1970_is_found():
    found = read(
        event("DTSTART;TZID=Europe/Berlin:19700101T220000", "DURATION:PT2H", "RRULE:FREQ=DAILY"), kind="window"
    )
    calendar = Calendar(name="old", entries=found.entries)
    assert standing([calendar], SHOP, at("2026-11-26T21:30Z")).open
    assert standing([calendar], SHOP, at("2026-11-27T12:00Z")).opens_at == at("2026-11-27T21:00Z")


# --- texts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!DOCTYPE html><title>Sign in</title>", "BEGIN:VCALENDAR is expected, found a web page, `Sign in`"),
        ("", "found nothing"),
        (ics(event(*NIGHTS)).replace("END:VCALENDAR", ""), "END:VCALENDAR is expected at the end"),
        (ics(event(*NIGHTS))[:150], "a part of the calendar is missing"),
        (ics(event(*NIGHTS)).replace("END:VEVENT", "END:VTODO"), "END:VEVENT is expected, found END:VTODO"),
        (b"\xff\xfe\x00\x01", "BEGIN:VCALENDAR is expected"),
    ],
)
def test_what_is_no_calendar_or_not_all_of_one_says_so(text, words):
    with pytest.raises(NoCalendar) as error:
        calendars_in(text)
    assert words in str(error.value)


def test_one_broken_entry_of_fifty_breaks_the_calendar_and_all_broken_ones_are_named():
    good = [event(*IN_OCTOBER, uid=str(n)) for n in range(49)]
    with pytest.raises(Unreadable) as error:
        read(*good, event("DTSTART:2026-07-14", uid="50", summary="the freeze"))
    assert error.value.mistakes == [
        '"the freeze" (2026-07-14): DTSTART with a time like 20261224T220000 is expected, found `2026-07-14`'
    ]
    with pytest.raises(Unreadable) as error:
        read(event("DTSTART:x", uid="1"), event("no line", *IN_OCTOBER, uid="2"), event(uid="3"))
    assert len(error.value.mistakes) == 3


def test_long_lines_other_line_ends_other_components_and_capitals_are_read():
    text = ics(
        "BEGIN:VTODO\nDTSTART:nonsense\nEND:VTODO",
        event(
            "dtstart;tzid=Europe/Berlin:20261011T22\n 0000", "DURATION:PT2H", "BEGIN:VALARM\nDURATION:PT99X\nEND:VALARM"
        ),
    )
    for ends in ("\r\n", "\n", "\r"):
        found = read(text.replace("\r\n", ends).replace("BEGIN:VCALENDAR", "", 1).removesuffix(f"END:VCALENDAR{ends}"))
        assert starts(found) == ["2026-10-11T20:00Z"]
    assert calendars_in(b"\xef\xbb\xbf" + text.encode())


def test_words_from_outside_are_one_short_line():
    (entry,) = read(event(*IN_OCTOBER, summary="a\\nb\x1b[31m" + "c" * 500)).entries
    assert entry.name.startswith("a b")
    assert "\x1b" not in entry.name
    assert len(entry.name) <= 100


def test_words_from_outside_bring_no_pictures_links_or_html_into_a_form():
    lines = (*IN_OCTOBER, 'DESCRIPTION:<p>See <a href="https://evil.example">here</a></p>')
    (entry,) = read(event(*lines, summary="[PROD] ![x](https://evil.example/x.png) `off`")).entries
    assert entry.name == "(PROD) !(x)(https://evil.example/x.png) 'off'"
    assert entry.reason == "See here"
