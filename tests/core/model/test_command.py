"""Who may steer a running release, and what people's commands amount to (R10, R6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.model.command import KINDS, NEED_APPROVER, refusal, standing, why


class Running:
    """What a refusal needs to know of a running release."""

    version = "2.0.0"
    requester = "alice"


class Command:
    """One recorded command."""

    def __init__(self, kind, at, answered_at=None, by="bob", reason=None):
        self.kind, self.at, self.answered_at, self.by, self.reason = kind, at, answered_at, by, reason


COMMANDS = st.lists(st.tuples(st.sampled_from(KINDS), st.booleans()), max_size=8).map(
    lambda found: [Command(kind, float(n), float(n) if done else None) for n, (kind, done) in enumerate(found)]
)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pause", "resume", "abort"])
def test_what_makes_a_release_no_less_safe_anybody_may_do(kind):
    assert refusal(kind, "carol", "too many tickets", Running(), ["bob"], False) is None


@pytest.mark.parametrize("kind", NEED_APPROVER)
def test_what_shortens_the_checks_needs_an_approver_who_did_not_ask_for_the_release(kind):  # R10
    assert refusal(kind, "bob", None, Running(), ["bob", "alice"], False) is None
    assert refusal(kind, "alice", None, Running(), ["bob", "alice"], False) == (
        f"alice may not {kind} 2.0.0, because it shortens its checks: bob may."
    )
    assert refusal(kind, "carol", None, Running(), ["bob", "dora"], False) == (
        f"carol may not {kind} 2.0.0, because it shortens its checks: bob or dora may."
    )
    assert refusal(kind, "alice", None, Running(), ["alice"], False) == (
        f"alice may not {kind} 2.0.0, because it shortens its checks: an approver who did not ask for the release may."
    )


@pytest.mark.parametrize("kind", NEED_APPROVER)
def test_where_one_pair_of_eyes_will_do_the_requester_may(kind):  # R10
    assert refusal(kind, "alice", None, Running(), [], True) is None


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_an_abort_needs_a_reason(reason):  # R13
    assert (
        refusal("abort", "bob", reason, Running(), ["bob"], True) == "An abort needs a reason: say why in a few words."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_release_there_is_nothing_to_steer(kind):
    assert refusal(kind, "bob", "why", None, ["bob"], True) == f"No release is running: there is nothing to {kind}."


def test_an_action_that_does_not_exist_is_named():  # R12
    assert refusal("stop", "bob", None, Running(), ["bob"], True) == (
        "There is no action `stop`: one of pause, resume, promote, skip, abort is expected."
    )


# --- what they amount to ----------------------------------------------------------------------------------------------


@given(COMMANDS)
def test_an_abort_or_a_promote_holds_whatever_comes_later(commands):
    found = standing(commands)
    assert bool(found.abort) == any(it.kind == "abort" for it in commands)
    assert bool(found.promote) == any(it.kind == "promote" for it in commands)


@given(COMMANDS)
def test_the_newest_of_pause_and_resume_holds(commands):
    last = next((it.kind for it in reversed(commands) if it.kind in ("pause", "resume")), None)
    found = standing(commands)
    assert (found.pause is not None, found.resume is not None) == (last == "pause", last == "resume")


@given(COMMANDS)
def test_whether_a_command_was_answered_changes_nothing_that_holds(commands):  # R6
    answered = [Command(it.kind, it.at, it.at) for it in commands]

    def holds(these):
        found = standing(these)
        named = [found.abort, found.promote, found.pause, found.resume, *found.skips]
        return [(it.kind, it.at) if it else None for it in named]

    assert holds(commands) == holds(answered)
    assert [it.at for it in standing(commands).open] == [it.at for it in commands if it.answered_at is None]
    assert standing(answered).open == ()


@given(COMMANDS, st.floats(-1, 9))
def test_a_skip_ends_the_hold_in_which_it_was_given_and_no_later_one(commands, since):
    found = standing(commands).skip(since)
    after = [it for it in commands if it.kind == "skip" and it.at >= since]
    assert found is (after[0] if after else None)


@pytest.mark.parametrize(
    ("reason", "said"),
    [("enough seen", "bob: enough seen"), ("enough seen.", "bob: enough seen"), (None, "bob"), ("", "bob")],
)
def test_a_command_names_who_gave_it_and_why(reason, said):  # R13
    assert why(Command("promote", 1.0, reason=reason)) == said
