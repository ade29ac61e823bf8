"""What is new in the history, told by one statement."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, text

from release_pipelines.adapters.history import History, HistoryUnavailable, open_history
from release_pipelines.adapters.history.pulse import NEWEST, Sign, news
from release_pipelines.core.model.progress import Progress
from tests.databases import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]
SHOP, CART = "release_shop/1", "release_cart/1"


@pytest.fixture(params=["sqlite", "postgresql"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    address = f"sqlite:///{tmp_path}/h.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = open_history(address)
    for release in (SHOP, CART):
        dag, _, run = release.partition("/")
        made.begin(release, dag.removeprefix("release_"), dag, run, "1.0.0", requester="alice")
    return made


def changes(history: History) -> Iterator[str]:
    """Everything that a page may show, changed one after the other."""
    history.record_event(SHOP, "traffic", "the canary has 10 % of the traffic", "production")
    yield "event"
    history.keep_progress({SHOP: progress(1.0)})
    yield "progress"
    history.keep_progress({SHOP: progress(2.0)})
    yield "progress, replaced"
    command = history.command(SHOP, "pause", "bob")
    yield "command"
    history.answer(command.id, "It is paused.")
    yield "answer"
    history.record_approval(SHOP, "sha256:1", "approved", "bob")
    yield "approval"
    history.mark(SHOP, "production", True, "it was slow")
    yield "mark"
    history.attach(SHOP, "incident.md", "text/markdown", "x")
    yield "report"
    history.promoted(SHOP)
    yield "promoted"
    history.finish(SHOP, "released", "It is released.")
    yield "end"
    history.finish(SHOP, "rolled_back", "It went back.")
    yield "another end"


def progress(at: float) -> Progress:
    return Progress(at=at, environment="production", step="step_10", weight=10, traffic="10 %")


def test_each_change_is_news_of_its_release_and_of_no_other(history: History) -> None:
    pulse = history.pulse()
    before = pulse.look()
    for what in changes(history):
        now = pulse.look()
        assert news(before, now).releases == {SHOP}, what
        assert not news(before, now).everything
        assert not news(now, pulse.look()), what
        before = now
    pulse.close()


def test_a_release_that_runs_is_followed_however_much_others_write(history: History) -> None:
    pulse = history.pulse()
    pulse.look()
    for number in range(NEWEST + 5):
        history.record_event(CART, "note", f"{number}")
    before = pulse.look()
    assert any(it.release == SHOP for it in before)
    history.finish(SHOP, "failed", "It failed.")
    assert news(before, pulse.look()).releases == {SHOP}
    pulse.close()


def test_a_release_that_is_watched_is_followed_after_its_end(history: History) -> None:
    history.finish(SHOP, "released", "It is released.")
    for number in range(NEWEST + 5):
        history.record_event(CART, "note", f"{number}")
    with history._write() as connection:
        connection.execute(text("DELETE FROM release_audit"))
    pulse = history.pulse()
    pulse.look()
    before = pulse.look([SHOP])
    history.finish(SHOP, "rolled_back", "It went back.")
    assert news(before, pulse.look([SHOP])).releases == {SHOP}
    pulse.close()


def test_where_more_was_written_than_a_look_takes_everything_may_be_new(history: History) -> None:
    pulse = history.pulse()
    before = pulse.look()
    for number in range(NEWEST - 1):
        history.record_event(CART, "note", f"{number}")
    assert not news(before, pulse.look()).everything
    for number in range(NEWEST + 1):
        history.record_event(CART, "more", f"{number}")
    history.record_event(SHOP, "note", "x")
    assert news(before, pulse.look()).everything or SHOP in news(before, pulse.look()).releases
    assert news(None, before).everything
    pulse.close()


def test_what_commits_late_with_an_early_number_is_news() -> None:
    first = frozenset({Sign("release_events", "a", None, "1"), Sign("release_events", "a", None, "3")})
    assert news(first, first | {Sign("release_events", "b", None, "2")}).releases == {"b"}


def test_a_look_at_what_runs_is_news_of_its_app(history: History) -> None:
    pulse = history.pulse()
    before = pulse.look()
    with history._write() as connection:
        row = {"app": "shop", "at": time.time()}
        connection.execute(
            text("INSERT INTO release_observations (app, environment, looked_at) VALUES (:app, 'production', :at)"), row
        )
    assert news(before, pulse.look()).apps == {"shop"}
    pulse.close()


def test_a_look_is_one_statement_over_one_connection(history: History) -> None:
    statements: list[str] = []
    connections: list[object] = []
    event.listen(history._engine, "before_cursor_execute", lambda *it: statements.append(it[2]))
    event.listen(history._engine, "connect", lambda *it: connections.append(it[0]))
    pulse = history.pulse()
    for _ in range(5):
        pulse.look([SHOP])
    assert len([it for it in statements if not it.startswith("BEGIN")]) == 5
    assert len(connections) == 1
    pulse.close()


def test_after_a_failure_the_next_look_connects_anew(tmp_path: Path) -> None:
    file = tmp_path / "h.db"
    history = open_history(f"sqlite:///{file}")
    history.begin(SHOP, "shop", "release_shop", "1", "1.0.0", requester=None)
    pulse = history.pulse()
    pulse.look()
    with history._write() as connection:
        connection.execute(text("ALTER TABLE release_events RENAME TO away"))
    with pytest.raises(HistoryUnavailable):
        pulse.look()
    with history._write() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO release_events"))
    assert any(it.release == SHOP for it in pulse.look())
    pulse.close()
