"""Whatever a server sends: a calendar, or one sentence. An exception here would stop a scheduler's loop."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.adapters.calendars.ics import Unreadable, read_ics
from release_pipelines.adapters.calendars.lines import NoCalendar
from release_pipelines.core.calendars import Asked, Calendar, openings, remarks, standing
from tests.adapters.calendars.texts import NOW, described, event, ics

DAY = 86400.0
TEXT = ics(
    "X-WR-TIMEZONE:Europe/Berlin",
    described("Plant", 1),
    described("GMT", 0),
    event(
        "DTSTART;TZID=Plant:20260902T220000",
        "DTEND;TZID=Plant:20260903T000000",
        "RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=1WE,-1WE;COUNT=40",
        "EXDATE;TZID=Plant:20261007T220000,20261104T220000",
        "RDATE;VALUE=PERIOD:20261224T220000Z/PT8H,20261226T220000Z/20261227T000000Z",
    ),
    event("RECURRENCE-ID:20261202T210000Z", "DTSTART:20261203T210000Z", "DURATION:P1DT2H", "SEQUENCE:2"),
    event("DTSTART;VALUE=DATE:20261224", "RRULE:FREQ=YEARLY;UNTIL=20401231", "STATUS:TENTATIVE", uid="2"),
    event("DTSTART;TZID=GMT:20260723T102000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;BYDAY=TH", uid="3"),
)
WORDS = (
    "", "0", "-1", "99999999", "00000000", "10000101", "15000101", "89991231T235959", "99991231T235959Z", "20261231T240000Z", "UTC+2", "Plant", "PT99999999H",
    "P999999W", "-P1D", "FREQ=DAILY", "INTERVAL=100000", "INTERVAL=0", "COUNT=100000", "BYDAY=53MO", "BYDAY=XX", "BYMONTHDAY=31", "BYSETPOS=-366", "BYWEEKNO=53",
    "BYYEARDAY=366", "UNTIL=15000101", "VALUE=DATE", "VALUE=PERIOD", "TZID=", ";;;", "+9999", "-2359", "\x00", "é", '"', "\\n", "BEGIN:VEVENT", "END:VEVENT",
    "BEGIN:VTIMEZONE", "DTSTART", "RRULE", "FREQ=YEARLY;BYEASTER=1", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU", "WKST=SU",
)  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> str:
    """The text with some of its words replaced, cut, doubled or exchanged."""
    lines = TEXT.split("\r\n")
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.integers(0, len(lines) - 1))
        what = draw(st.sampled_from(["word", "insert", "drop", "double", "swap", "cut"]))
        if what == "word":
            pieces = lines[n].replace(";", "\n;\n").replace(":", "\n:\n").replace("=", "\n=\n").split("\n")
            pieces[draw(st.integers(0, len(pieces) - 1))] = draw(st.sampled_from(WORDS) | st.text(max_size=12))
            lines[n] = "".join(pieces)
        elif what == "insert":
            lines.insert(n, draw(st.sampled_from(WORDS) | st.sampled_from(lines)))
        elif what == "drop":
            del lines[n]
        elif what == "double":
            lines.insert(n, lines[n])
        elif what == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[n], lines[other] = lines[other], lines[n]
        else:
            lines[n] = lines[n][: draw(st.integers(0, len(lines[n])))]
    return "\r\n".join(lines)


@given(broken(), st.sampled_from(["freeze", "window"]))
def test_a_text_is_a_calendar_that_can_be_asked_or_one_sentence(text: str, kind: str) -> None:
    found, said = None, ""
    try:
        found = read_ics(text, kind=kind, at=NOW)
    except (NoCalendar, Unreadable) as error:
        said = str(error)
    assert len(said) < 1000
    assert "\n" not in said
    if found is None:
        return
    calendar = Calendar(name="ops", entries=found.entries, notes=found.notes, source="ops.ics")
    for at in (NOW, NOW + 400 * DAY):
        standing([calendar], Asked("shop", "production"), at)
    openings([calendar], Asked("shop", "production"), NOW, NOW + 30 * DAY)
    list(remarks(calendar, NOW))


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_anything_else_is_one_sentence(content: bytes | str) -> None:
    with contextlib.suppress(NoCalendar, Unreadable):
        read_ics(content, kind="freeze", at=NOW)
    begun = b"BEGIN:VCALENDAR\n" + (content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    with contextlib.suppress(NoCalendar, Unreadable):
        read_ics(begun + b"\nEND:VCALENDAR\n", kind="freeze", at=NOW)
