"""What a release waits for, and until when: moments, never seconds that are left."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.model.records import ReleaseDetail
from release_pipelines.core.status.model import Clock, Planned
from release_pipelines.core.status.state import status_of
from tests.core.status.stories import (
    APPROVED,
    ASKED,
    CHECKED,
    LINE,
    STAGING,
    STEP_50,
    T,
    bound,
    command,
    event,
    holding,
    in_step_10,
    verdict,
)


def clock(told: ReleaseDetail, now: float = 260, line: Any = LINE, who: str | None = None) -> Clock:
    return status_of(told, now=T + now, line=line, who=who).clock


def test_a_hold_has_its_moments_and_the_age_of_what_told_them() -> None:
    told = clock(in_step_10())
    assert (told.waits_for, told.earliest_at, told.latest_at, told.until) == ("hold", T + 240, T + 420, T + 420)
    assert (told.patient_until_at, told.at, told.since_at) == (T + 480, T + 250, T + 120)
    assert "or less where the evidence is good enough" in told.sentence


def test_a_hold_that_is_over_waits_for_numbers_until_its_patience_ends() -> None:
    told = clock(in_step_10(), now=430)
    assert (told.waits_for, told.until) == ("numbers", T + 480)
    assert "what is missing is waited for" in told.sentence


def test_a_paused_hold_has_no_end_and_names_who_paused_it() -> None:
    paused = holding(250, earliest=None, latest=None, paused_at=T + 200)
    told = clock(in_step_10(progress=paused, commands=[command(199, "pause", reason="lunch")]))
    assert (told.waits_for, told.until, told.since_at, told.by) == ("resume", None, T + 200, "carol: lunch")


def test_a_closed_window_stops_the_clock_until_it_opens() -> None:
    paused = holding(250, earliest=None, latest=None, closed="closed: freeze", opens_at=T + 9000, paused_at=T + 230)
    told = clock(in_step_10(progress=paused))
    assert (told.waits_for, told.until) == ("window", T + 9000)
    assert "closed: freeze" in told.sentence


def test_before_its_environment_is_touched_it_waits_for_its_window_and_its_approval_may_expire_meanwhile() -> None:
    waits = event(101, "window", data={"open": False, "opens_at": T + 9000, "expires_at": T + 50000}, sentence="Waits.")
    told = clock(bound(events=[CHECKED, STAGING, ASKED, waits], approvals=[APPROVED]))
    assert (told.waits_for, told.until, told.expires_at, told.sentence) == ("window", T + 9000, T + 50000, "Waits.")
    begun = event(9000, "window", data={"began_at": T + 9000, "environment": "production"})
    assert clock(bound(events=[CHECKED, STAGING, ASKED, waits, begun], approvals=[APPROVED])).waits_for == "work"


def test_an_approval_expires_at_a_moment_and_says_who_may_answer() -> None:
    told = clock(bound(events=[CHECKED, STAGING, ASKED]), who="bob or dave")
    assert (told.waits_for, told.until, told.who) == ("approval", T + 90 + 1800, "bob or dave")
    assert told.sentence == "It waits for an approval: bob or dave may answer."
    assert clock(bound(events=[CHECKED, STAGING, ASKED]), line=None).until is None


def test_a_question_between_stages_waits_since_the_stage_before() -> None:
    stages = list(LINE.stages)
    stages.insert(6, Planned(name="approval_1", kind="question", environment="production"))
    told = in_step_10(verdicts=[verdict(419, "step_10", 10)], progress=holding(415))
    found = clock(told, now=430, line=LINE.model_copy(update={"stages": stages}), who="bob")
    assert (found.waits_for, found.since_at, found.who) == ("answer", T + 419, "bob")


@pytest.mark.parametrize(
    "more",
    [
        {"verdicts": [verdict(419, "step_10", 10)]},
        {"events": [CHECKED, STAGING, ASKED, STEP_50]},
        {"events": [CHECKED, STAGING, ASKED, event(260, "rollback", "production")]},
    ],
)
def test_a_clock_of_a_stage_that_is_over_is_shown_no_more(more: dict[str, Any]) -> None:
    told = clock(in_step_10(**more), now=430)
    assert (told.waits_for, told.latest_at) == ("work", None)


def test_a_stage_that_waits_for_a_person_says_so() -> None:
    events = [*in_step_10().events, event(301, "waits", "production", sentence="What now?")]
    told = clock(in_step_10(events=events, verdicts=[verdict(300, "step_10", 10, "fail")], progress=None), who="bob")
    assert (told.waits_for, told.sentence, told.since_at, told.who) == ("answer", "What now?", T + 301, "bob")


def test_what_has_ended_waits_for_nothing_whatever_was_told_last() -> None:
    told = clock(in_step_10(outcome="aborted", ended_at=T + 300, sentence="Aborted."))
    assert (told.waits_for, told.until) == ("nothing", None)
    assert status_of(in_step_10(outcome="aborted", sentence="Aborted."), now=T).sentence == "Aborted."
