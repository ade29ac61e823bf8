"""The line of a release: what is done, now and to come, at each moment of its life."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.model.records import Approval, ReleaseDetail
from release_pipelines.core.status.model import Line, Planned
from release_pipelines.core.status.stages import stages_of
from tests.core.status import stories
from tests.core.status.stories import (
    APPROVED,
    ASKED,
    BAKE,
    CHECKED,
    ID,
    LINE,
    NEW,
    PRODUCTION,
    STAGING,
    STEP_10,
    STEP_50,
    T,
    bound,
    command,
    event,
    holding,
    in_step_10,
    release,
    samples,
    verdict,
)

D, N, C, S, F = "done", "now", "to come", "skipped", "failed"
UP_TO_10 = [CHECKED, STAGING, ASKED, PRODUCTION, STEP_10]
ROLLBACK = event(300, "rollback", "production", {"kind": "return_traffic", "version": "1.0.0", "digest": stories.OLD})


def states(told: ReleaseDetail, line: Line | None = LINE) -> list[str]:
    return [it.state for it in stages_of(told, line)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (release(), [N, C, C, C, C, C, C, C, C]),
        (release(events=[CHECKED]), [D, N, C, C, C, C, C, C, C]),
        (bound(events=[CHECKED]), [D, D, N, C, C, C, C, C, C]),
        (bound(events=[CHECKED, STAGING]), [D, D, N, C, C, C, C, C, C]),
        (bound(events=[CHECKED, STAGING, ASKED]), [D, D, D, N, C, C, C, C, C]),
        (bound(events=[CHECKED, STAGING, ASKED], approvals=[APPROVED]), [D, D, D, D, N, C, C, C, C]),
        (bound(events=UP_TO_10[:-1], approvals=[APPROVED]), [D, D, D, D, D, N, C, C, C]),
        (in_step_10(), [D, D, D, D, D, N, C, C, C]),
        (in_step_10(verdicts=[verdict(420, "step_10", 10)]), [D, D, D, D, D, D, N, C, C]),
        (
            in_step_10(events=[*UP_TO_10, STEP_50], verdicts=[verdict(419, "step_10", 10)], progress=None),
            [D, D, D, D, D, D, N, C, C],
        ),
        (
            in_step_10(verdicts=[verdict(419, "step_10", 10), verdict(900, "bake", 100)], progress=None),
            [D, D, D, D, D, D, S, D, N],
        ),
    ],
)  # fmt: skip
def test_what_lies_before_something_that_has_begun_is_over(told: ReleaseDetail, expected: list[str]) -> None:
    assert states(told) == expected


def test_a_stage_that_a_person_made_needless_was_skipped() -> None:
    told = in_step_10(events=[*UP_TO_10, BAKE], verdicts=[verdict(419, "step_10", 10)], progress=None)
    assert states(told) == [D, D, D, D, D, D, S, N, C]


def test_a_release_that_held_is_done_to_its_end() -> None:
    verdicts = [verdict(419, "step_10", 10), verdict(719, "step_50", 50), verdict(1019, "bake", 100)]
    told = in_step_10(
        events=[*UP_TO_10, STEP_50, BAKE], verdicts=verdicts, progress=None, promoted_at=T + 1030, outcome="released",
        ended_at=T + 1040,
    )  # fmt: skip
    assert states(told) == [D] * 9
    [step, *_] = [it for it in stages_of(told, LINE) if it.name == "step_10"]
    assert (step.began_at, step.ended_at, step.judgement) == (T + 120, T + 419, "pass")
    assert step.sentence == "error rate 0.2 % over 1,000 requests, limit 1 %"


def test_a_stage_that_failed_stays_failed_while_the_way_back_goes_on_and_afterwards() -> None:
    failed = verdict(300, "step_10", 10, "fail", 0.048)
    back = in_step_10(events=[*UP_TO_10, ROLLBACK], verdicts=[failed])
    assert states(back) == [D, D, D, D, D, F, S, S, S, N]
    ended = in_step_10(
        events=[*UP_TO_10, ROLLBACK], verdicts=[failed], progress=None, outcome="rolled_back", ended_at=T + 320
    )
    assert states(ended) == [D, D, D, D, D, F, S, S, S, D]
    assert stages_of(ended, LINE)[-1].name == "rollback"
    worse = ended.model_copy(update={"outcome": "rollback_failed"})
    assert states(worse)[-1] == F


def test_a_stage_that_failed_before_the_way_back_is_not_now() -> None:
    told = in_step_10(verdicts=[verdict(300, "step_10", 10, "fail", 0.048)], progress=None)
    assert states(told) == [D, D, D, D, D, F, C, C, C]


@pytest.mark.parametrize(("decision", "by"), [("rejected", "bob"), ("expired", None)])
def test_who_says_no_ends_it_at_the_approval(decision: Any, by: str | None) -> None:
    answer = Approval(release_id=ID, digest=NEW, decision=decision, by=by, at=T + 100)
    told = bound(events=[CHECKED, STAGING, ASKED], approvals=[answer], outcome=decision, ended_at=T + 101)
    assert states(told) == [D, D, D, F, S, S, S, S, S]
    sentence = "rejected by bob" if by else "expired"
    assert stages_of(told, LINE)[3].sentence == sentence


def test_one_with_nothing_to_do_skipped_the_rest() -> None:
    told = bound(events=[CHECKED], outcome="no_op", ended_at=T + 10)
    assert states(told) == [D, D, S, S, S, S, S, S, S]


def test_one_that_failed_failed_where_it_was() -> None:
    told = release(events=[CHECKED], outcome="failed", ended_at=T + 10)
    assert states(told) == [D, F, S, S, S, S, S, S, S]
    aborted = in_step_10(
        progress=None, outcome="aborted", ended_at=T + 300, commands=[command(290, "abort", reason="bad")]
    )
    assert states(aborted) == [D, D, D, D, D, F, S, S, S]


def test_without_a_specification_the_line_is_what_happened() -> None:
    verdicts = [verdict(419, "step_10", 10), verdict(719, "weight_50", 50)]
    told = in_step_10(events=[CHECKED, STAGING, ASKED, PRODUCTION], verdicts=verdicts, progress=None,
                      outcome="released", promoted_at=T + 800, ended_at=T + 810)  # fmt: skip
    line = stages_of(told, None)
    names = ["preflight", "image", "staging", "approval", "deploy", "step_10", "weight_50", "promote"]
    assert [it.name for it in line] == names
    assert {it.state for it in line} == {"done"}
    assert [it.weight for it in line if it.kind == "stage"] == [10, 50]


def test_an_old_history_has_verdicts_alone() -> None:
    """No events, no progress, no attachments: as earlier versions wrote it."""
    told = release(
        digest=NEW, verdicts=[verdict(419, "weight_25", 25, "fail", 0.048)], outcome="rolled_back", ended_at=T + 430
    )
    assert [(it.name, it.state) for it in stages_of(told, None)] == [
        ("preflight", "done"), ("image", "done"), ("weight_25", "failed"),
    ]  # fmt: skip


def test_a_release_of_which_nothing_is_told_has_begun() -> None:
    assert states(release(), None) == [N]
    assert states(release(), Line()) == [N]


def test_a_rollback_by_hand_is_its_way_back_alone() -> None:
    told = release(id="release_rollback/manual__9#0", dag_id="release_rollback", events=[ROLLBACK])
    assert [(it.name, it.state) for it in stages_of(told, None)] == [("rollback", "now")]


def test_a_command_between_stages_is_where_the_release_is_once_the_stage_before_has_passed() -> None:
    stages = list(LINE.stages)
    stages.insert(6, Planned(name="verify_1", kind="check", environment="production"))
    line = LINE.model_copy(update={"stages": stages})
    told = in_step_10(verdicts=[verdict(419, "step_10", 10)], progress=None)
    assert states(told, line)[5:8] == [D, N, C]
    later = in_step_10(
        events=[*UP_TO_10, STEP_50], verdicts=[verdict(419, "step_10", 10)], progress=holding(430, "step_50", 50)
    )
    assert states(later, line)[5:8] == [D, D, N]


def test_a_step_of_the_same_name_in_another_environment_is_another_step() -> None:
    other = verdict(419, "step_10", 10, "fail").model_copy(update={"environment": "elsewhere"})
    assert states(in_step_10(verdicts=[other])) == [D, D, D, D, D, N, C, C, C]


def test_a_step_without_an_event_began_with_its_first_measurement() -> None:
    told = in_step_10(
        events=UP_TO_10[:-1], verdicts=[verdict(419, "step_10", 10)], measurements=samples(130, "step_10"),
        progress=None,
    )  # fmt: skip
    assert next(it for it in stages_of(told, LINE) if it.name == "step_10").began_at == T + 130
