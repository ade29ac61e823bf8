"""Which commands a person may give in which state: the whole table, and what the page's age has to do with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from release_pipelines.core.model.command import Command
from release_pipelines.core.model.person import Identity
from release_pipelines.core.steering import WORDS, Seen, State, Steerer, allowed, outdated, refused

APPROVERS = ("bob", "alice")
DIGEST = f"sha256:{'a' * 64}"
RUNNING = State("2.0.0", asked=("alice", None), step="step_10", weight=10, digest=DIGEST, good=("1.9.0",))


def given(kind: str, effect: str | None = "It is done.") -> Command:
    return Command(
        id=1, release_id="r", kind=kind, by="dora", at=1.0, answered_at=2.0 if effect else None, effect=effect
    )


STATES = {
    "waits for approval": replace(RUNNING, asks="approval", step=None, weight=None),
    "question between stages": replace(RUNNING, asks="question"),
    "waits for its window": replace(RUNNING, step=None, weight=None),
    "hold at 10 %": RUNNING,
    "pods of the next step starting": replace(RUNNING, step="step_10"),
    "paused": replace(RUNNING, pause=given("pause")),
    "aborted, traffic back": replace(RUNNING, abort=given("abort", "All traffic is back on stable.")),
    "bake": replace(RUNNING, step="step_50", weight=50),
    "ended": replace(RUNNING, ended="released", step=None, weight=None),
    "ended, nothing to go back to": replace(RUNNING, ended="released", step=None, weight=None, good=()),
}


def person(name: str, *, reads: bool = True, may: bool = True) -> Steerer:
    return Steerer(Identity(name, name), reads, may, may, may, APPROVERS, APPROVERS)


PEOPLE = {
    "stranger": person("mallory", reads=False, may=False),
    "viewer": person("victor", may=False),
    "may run the DAG": person("carol"),
    "named approver": person("bob"),
    "approver who started it": person("alice"),
}

BACK = {"roll_back"}
SAFE = {"pause", "abort"} | BACK
RIGHT: dict[str, tuple[set[str], set[str], set[str]]] = {
    # who may run the DAG, named approver, approver who started it
    "waits for approval": (SAFE, SAFE | {"approve", "reject"}, SAFE),
    "question between stages": (SAFE, SAFE | {"promote", "approve", "reject"}, SAFE),
    "waits for its window": (SAFE, SAFE | {"skip", "promote"}, SAFE),
    "hold at 10 %": (SAFE, SAFE | {"skip", "promote"}, SAFE),
    "pods of the next step starting": (SAFE, SAFE | {"skip", "promote"}, SAFE),
    "paused": ({"resume", "abort"} | BACK, {"resume", "abort", "skip", "promote"} | BACK, {"resume", "abort"} | BACK),
    "aborted, traffic back": (BACK, BACK, BACK),
    "bake": (SAFE, SAFE | {"skip", "promote"}, SAFE),
    "ended": (BACK, BACK, BACK),
    "ended, nothing to go back to": (set(), set(), set()),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("who", PEOPLE)
def test_the_whole_table(state: str, who: str) -> None:
    position = list(PEOPLE).index(who) - 2
    right = RIGHT[state][position] if position >= 0 else set()
    answers = allowed(STATES[state], PEOPLE[who])
    assert set(answers) == set(WORDS)
    assert {word for word, no in answers.items() if no is None} == right
    for word, no in answers.items():
        if no is None:
            continue
        assert no.status in (403, 409), word
        assert no.sentence.endswith("."), (word, no.sentence)
        if position < 0:
            assert no.status == 403, word


@pytest.mark.parametrize("state", STATES)
def test_a_viewer_may_nothing_and_a_stranger_is_not_told_why(state: str) -> None:
    for word in WORDS:
        assert refused(word, STATES[state], PEOPLE["viewer"], "why").kind == "not yours"  # type: ignore[union-attr]
        said = {refused(word, it, PEOPLE["stranger"], "why") for it in STATES.values()}
        assert {it.sentence for it in said if it} == {"You may not see this, or it does not exist."}


def test_who_started_it_neither_approves_nor_rejects_also_where_a_robot_did() -> None:
    asked = replace(STATES["waits for approval"], asked=("alice", "robot"))
    for name in ("alice", "robot"):
        who = replace(person(name), approvers=("alice", "robot", "bob"), answerers=("alice", "robot", "bob"))
        for word in ("approve", "reject", "skip"):
            assert refused(word, asked, who, "why").kind == "not yours"  # type: ignore[union-attr]
    assert refused("approve", asked, person("alice"), None).sentence == (  # type: ignore[union-attr]
        "alice may not approve 2.0.0, because they asked for it: bob may."
    )
    assert refused("approve", asked, replace(person("alice"), self_approval=True), None) is None


@pytest.mark.parametrize("word", ["promote", "skip", "resume", "pause", "approve", "reject"])
def test_an_aborted_release_takes_nothing_that_goes_on(word: str) -> None:
    for effect in ("All traffic is back on stable.", None):
        state = replace(STATES["paused"], abort=given("abort", effect), asks="question")
        no = refused(word, state, person("bob"), "why")
        assert no is not None
        assert no.kind == "not now"
        assert no.sentence.startswith("dora has aborted 2.0.0")


def test_an_abort_that_nobody_has_taken_up_may_be_given_again() -> None:
    assert refused("abort", replace(RUNNING, abort=given("abort", None)), person("bob"), "why") is None


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("abort", "An abort needs a reason: say why in a few words."),
        ("roll_back", "A rollback needs a reason: say why in a few words."),
    ],
)
def test_what_hurts_needs_a_reason(word: str, sentence: str) -> None:
    for reason in (None, "", "  "):
        no = refused(word, RUNNING, person("bob"), reason)
        assert no is not None
        assert (no.status, no.sentence) == (422, sentence)


def test_a_train_takes_an_abort_and_answers_and_a_rollback_nothing() -> None:
    train = replace(RUNNING, kind="train", asks="approval")
    assert {it for it, no in allowed(train, person("bob")).items() if no is None} == {"abort", "approve", "reject"}
    back = replace(RUNNING, kind="rollback")
    assert not {it for it, no in allowed(back, person("bob")).items() if no is None}


def test_a_page_of_an_old_release_rolls_nothing_back_under_a_new_one() -> None:
    old = replace(STATES["ended"], other="2.1.0")
    no = refused("roll_back", old, person("bob"), "why")
    assert no is not None
    assert no.sentence == "2.1.0 is being released now: its own page steers it."


NOW = replace(RUNNING, step="step_25", weight=25)
R1 = "release_shop/r1#0"


@pytest.mark.parametrize("kind", ["pause", "resume", "skip", "promote"])
def test_what_was_seen_a_step_ago_is_refused_with_where_it_is_now(kind: str) -> None:
    no = outdated(kind, Seen(R1, "step_10", 10), NOW, R1)
    assert no is not None
    assert (no.status, no.sentence) == (409, "It is at step_25 (25 %) now, you saw step_10.")
    assert outdated(kind, Seen(R1, "step_25", 25), NOW, R1) is None


def test_an_abort_is_never_too_old_within_its_life() -> None:
    assert outdated("abort", Seen(R1, "step_10", 10), NOW, R1) is None
    no = outdated("abort", Seen(R1, "step_25", 25), NOW, "release_shop/r1#1")
    assert no is not None
    assert no.sentence.startswith("The run was cleared since")
    assert outdated("abort", Seen("release_shop/r2#0", "step_25"), NOW, R1) is not None


@pytest.mark.parametrize("kind", ["approve", "reject"])
def test_an_answer_is_for_the_digest_that_was_seen(kind: str) -> None:
    asked = STATES["waits for approval"]
    other = f"sha256:{'b' * 64}"
    assert outdated(kind, Seen(R1, None, None, DIGEST), asked, R1) is None
    for seen in (other, None):
        no = outdated(kind, Seen(R1, None, None, seen), asked, R1)
        assert no is not None
        assert no.sentence == f"The form is about {DIGEST} now, you saw {seen or 'none'}: nothing was answered."
