"""Who may give which command to a running release (R10, R13)."""

from __future__ import annotations

import pytest

from release_pipelines.core.model.command import COMMAND_KINDS
from release_pipelines.core.model.person import Identity, Person
from release_pipelines.features.commands.rights import NEED_APPROVER, refusal


class Running:
    """What a refusal needs to know of a running release."""

    version = "2.0.0"
    requester = "alice"


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


@pytest.mark.parametrize("kind", COMMAND_KINDS)
def test_without_a_release_there_is_nothing_to_steer(kind):
    assert refusal(kind, "bob", "why", None, ["bob"], True) == f"No release is running: there is nothing to {kind}."


def test_an_action_that_does_not_exist_is_named():  # R12
    assert refusal("stop", "bob", None, Running(), ["bob"], True) == (
        "There is no action `stop`: one of pause, resume, promote, skip, abort is expected."
    )


class ByRobot(Running):
    """A release that a robot started for a person."""

    requester = "bob@example.org"
    started_by = "robot"


@pytest.mark.parametrize("kind", NEED_APPROVER)
def test_neither_a_robot_nor_for_whom_it_asks_shortens_the_checks(kind):  # R10
    people = ["bob", "robot", Person(name="carol", email="carol@example.org", id="7")]
    for by in ("bob", "robot"):
        assert refusal(kind, by, None, ByRobot(), people, False) == (
            f"{by} may not {kind} 2.0.0, because it shortens its checks: carol may."
        )
    assert refusal(kind, "carol", None, ByRobot(), people, False) is None
    assert refusal(kind, Identity("7", "7"), None, ByRobot(), people, False) is None  # by a command, under any name
