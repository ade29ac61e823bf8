"""Who may approve (R10)."""

from __future__ import annotations

from release_pipelines.core.approvers import allowed_approvers, approves_alone


def test_who_asked_for_a_release_is_taken_out_of_its_approvers() -> None:
    assert allowed_approvers(["bob", "carol"], "bob", self_approval=False) == ["carol"]


def test_one_pair_of_eyes_is_enough_where_the_app_says_so() -> None:
    assert allowed_approvers(["bob", "carol"], "bob", self_approval=True) == ["bob", "carol"]
    assert not approves_alone("bob", "bob", self_approval=True)


def test_an_answer_of_who_asked_is_no_second_pair_of_eyes() -> None:
    assert approves_alone("bob", "bob", self_approval=False)
    assert not approves_alone("carol", "bob", self_approval=False)
