"""Commands in the history: one click counts once, in however many processes it arrives."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.history import History, UnknownRelease, open_history
from release_pipelines.core.steering import No, Order, Seen
from tests.databases import new_database, postgres_server  # noqa: F401

RELEASE = "release_shop/r1#0"


def order(kind: Any = "skip", key: str = "k", id_: str = "1") -> Order:
    return Order(kind, "bob", "enough seen", key, id_, "10.0.0.5", Seen(RELEASE, "step_10", 10))


def begun(history: History) -> History:
    history.begin(RELEASE, "shop", "release_shop", "r1", "1.1.0", "alice")
    return history


@pytest.fixture
def stopped(history: History) -> None:
    """The clock stands still: how far two clicks are apart is no matter of how busy this machine is."""
    now = history._now()
    history._now = lambda: now


def click(url: str, id_: str, told: Any, together: Any) -> None:
    history = open_history(url)
    together.wait()
    given = history.give(RELEASE, order(id_=id_), lambda _: None)
    told.put((given.id, given.command.id if given.command else None))


@pytest.fixture
def postgres(postgres_server: str) -> str:  # noqa: F811
    return new_database(postgres_server)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_one_click_in_two_processes_is_one_command(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgres") if database == "postgres" else f"sqlite:///{tmp_path}/two.db"
    history, context = begun(open_history(url)), multiprocessing.get_context("spawn")
    told, together = context.Queue(), context.Barrier(2)
    processes = [context.Process(target=click, args=(url, it, told, together)) for it in ("1", "2")]
    for it in processes:
        it.start()
    answers = [told.get(timeout=60) for _ in processes]
    for it in processes:
        it.join()
    assert answers[0] == answers[1]
    assert len(history.commands(RELEASE)) == 1
    assert [(it.action, it.phase) for it in history.audit_rows() if it.action == "skip"] == [("skip", "asked")]


def test_what_is_refused_is_refused_by_what_is_true_in_that_moment_and_is_told_once(
    history: History, stopped: None
) -> None:
    begun(history)
    no = No("not now", "It is at step_25 (25 %) now, you saw step_10.")
    answers = [history.give(RELEASE, order(id_=it), lambda _: no) for it in ("1", "2")]
    assert [it.no for it in answers] == [no, no]
    assert not history.commands()
    [row] = [it for it in history.audit_rows() if it.action == "skip"]
    assert (row.phase, row.data["refused"], row.data["step"]) == ("refused", "not now", "step_10")
    assert {name: it.value for name, it in row.texts.items()} == {
        "actor": "bob",
        "reason": "enough seen",
        "address": "10.0.0.5",
        "about": no.sentence,
    }


def test_the_same_words_later_or_after_something_else_are_another_command(history: History, stopped: None) -> None:
    begun(history)
    first = history.give(RELEASE, order("pause"), lambda _: None).command
    assert first is not None
    history.answer(first.id, "Paused.")
    assert history.give(RELEASE, order("pause"), lambda _: None).command == history.commands()[0]
    history.command(RELEASE, "resume", "carol")
    again = history.give(RELEASE, order("pause"), lambda _: None).command
    assert again is not None
    assert again.id != first.id
    history.answer(again.id, "Paused.")
    now = history._now
    history._now = lambda: now() + 60
    later = history.give(RELEASE, order("pause"), lambda _: None).command
    assert later is not None
    assert later.id != again.id


def test_an_answer_that_airflow_refuses_is_refused_for_both_clicks(history: History, stopped: None) -> None:
    begun(history)
    first = history.give(RELEASE, order("approve"), lambda _: None)
    second = history.give(RELEASE, order("approve", id_="2"), lambda _: None)
    assert (first.id, second.id) == ("1", "1")
    assert history.refusal_of(RELEASE, order("approve", id_="2")) is None
    history.refuse(RELEASE, order("approve"), No("not yours", "Airflow does not let you."))
    assert history.refusal_of(RELEASE, order("approve", id_="2")) == No("not yours", "Airflow does not let you.")
    assert not history.commands()


def test_the_newest_life_of_a_run_counts(history: History) -> None:
    assert history.newest_life("release_shop", "r1") is None
    begun(history)
    assert history.newest_life("release_shop", "r1") == RELEASE
    history.begin("release_shop/r1#1", "shop", "release_shop", "r1", "1.1.0", "alice")
    assert history.newest_life("release_shop", "r1") == "release_shop/r1#1"


def test_nothing_is_ordered_of_a_release_that_nobody_knows(history: History) -> None:
    with pytest.raises(UnknownRelease):
        history.give(RELEASE, order(), lambda _: None)
