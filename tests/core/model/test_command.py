"""What people's commands amount to (R6, R13)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.model.command import COMMAND_KINDS, command_state, given_by, subject


class Command:
    """One recorded command."""

    def __init__(self, kind, at, answered_at=None, by="bob", reason=None):
        self.kind, self.at, self.answered_at, self.by, self.reason = kind, at, answered_at, by, reason


COMMANDS = st.lists(st.tuples(st.sampled_from(COMMAND_KINDS), st.booleans()), max_size=8).map(
    lambda state: [Command(kind, float(n), float(n) if done else None) for n, (kind, done) in enumerate(state)]
)


@given(COMMANDS)
def test_an_abort_or_a_promote_holds_whatever_comes_later(commands):
    state = command_state(commands)
    assert bool(state.abort) == any(it.kind == "abort" for it in commands)
    assert bool(state.promote) == any(it.kind == "promote" for it in commands)


@given(COMMANDS)
def test_the_newest_of_pause_and_resume_holds(commands):
    last = next((it.kind for it in reversed(commands) if it.kind in ("pause", "resume")), None)
    state = command_state(commands)
    assert (state.pause is not None, state.resume is not None) == (last == "pause", last == "resume")


@given(COMMANDS)
def test_whether_a_command_was_answered_changes_nothing_that_holds(commands):  # R6
    answered = [Command(it.kind, it.at, it.at) for it in commands]

    def holds(these):
        state = command_state(these)
        named = [state.abort, state.promote, state.pause, state.resume, *state.skips]
        return [(it.kind, it.at) if it else None for it in named]

    assert holds(commands) == holds(answered)
    assert [it.at for it in command_state(commands).unanswered] == [it.at for it in commands if it.answered_at is None]
    assert command_state(answered).unanswered == ()


@given(COMMANDS, st.floats(-1, 9))
def test_a_skip_ends_the_hold_in_which_it_was_given_and_no_later_one(commands, since):
    state = command_state(commands).skip(since)
    after = [it for it in commands if it.kind == "skip" and it.at >= since]
    assert state is (after[0] if after else None)


@pytest.mark.parametrize(
    ("reason", "said"),
    [("enough seen", "bob: enough seen"), ("enough seen.", "bob: enough seen"), (None, "bob"), ("", "bob")],
)
def test_a_command_names_who_gave_it_and_why(reason, said):  # R13
    assert given_by(Command("promote", 1.0, reason=reason)) == said


def test_a_sentence_that_begins_with_who_gave_a_command_has_the_reason_in_quotes():
    assert subject(Command("promote", 1.0, reason="enough seen.")) == 'bob ("enough seen")'
    assert subject(Command("promote", 1.0, reason="")) == "bob"
