"""Who may approve (R10)."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from release_pipelines.core.approvers import allowed_approvers, approves_alone, id_of, is_one_of
from release_pipelines.core.model.person import Asked, Identity, Person

BOB = Person(name="bob", email="bob@example.org", id="7")
ID = "5d0d2a4e-9c1f-4c53-9d6f-0a4f1b6a2f11"


def test_who_asked_for_a_release_is_taken_out_of_its_approvers() -> None:
    assert allowed_approvers(["bob", "carol"], "bob", self_approval=False) == ["carol"]


def test_one_pair_of_eyes_is_enough_where_the_app_says_so() -> None:
    assert allowed_approvers(["bob", "carol"], "bob", self_approval=True) == ["bob", "carol"]
    assert not approves_alone("bob", "bob", self_approval=True)


def test_an_answer_of_who_asked_is_no_second_pair_of_eyes() -> None:
    assert approves_alone("bob", "bob", self_approval=False)
    assert not approves_alone("carol", "bob", self_approval=False)


@pytest.mark.parametrize("asked", ["bob", "BOB", "bob@example.org", "Bob@example.org", "7"])
def test_who_asks_under_any_name_is_taken_out(asked: str) -> None:
    assert allowed_approvers([BOB, "carol"], asked, self_approval=False) == ["carol"]


def test_neither_a_robot_nor_for_whom_it_asks_may_approve() -> None:
    asked = Asked("carol@example.org", "robot")
    assert allowed_approvers(["robot", "carol", "dora"], *asked, self_approval=False) == ["dora"]
    assert approves_alone(Identity("12", "carol"), *asked, self_approval=False)
    assert approves_alone(Identity("13", "robot"), *asked, self_approval=False)
    assert not approves_alone(Identity("14", "dora"), *asked, self_approval=False)
    assert str(asked) == "carol@example.org (started by robot)"


@pytest.mark.parametrize(
    ("named", "who", "may"),
    [
        ("bob", Identity("7", "bob"), True),
        ("Bob", Identity("7", "bob"), True),
        ("7", Identity("7", "bob"), True),
        (ID, Identity(ID.upper(), "bob"), True),
        ("bob@example.org", Identity("7", "bob@example.org"), True),
        (BOB, Identity("7", "robert"), True),
        (BOB, Identity(None, "bob"), True),
        (Person(name="1234"), Identity("9", "1234"), True),
        ("bob", Identity("7", "bobby"), False),
        ("bob@example.org", Identity("7", "bob"), False),  # another domain's bob, perhaps
        ("7", Identity("9", "7"), False),  # who has chosen an approver's id as user name
        (ID, Identity("9", ID), False),
        ("bob", Identity(None, None), False),
    ],
)
def test_a_right_belongs_to_an_id_or_a_name_and_nothing_like_it(named: str | Person, who: Identity, may: bool) -> None:
    assert is_one_of([named], who) is may


def test_an_id_is_known_where_it_is_given_or_looks_like_one() -> None:
    assert [id_of(it) for it in (BOB, "7", ID, "bob", Person(name="bob"))] == ["7", "7", ID, None, None]


def test_nobody_is_no_person() -> None:
    with pytest.raises(ValidationError, match="a `name`, an `email` or an `id` is expected"):
        Person()
    assert not is_one_of([], Identity("7", "bob"))
