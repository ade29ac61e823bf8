"""Commands that do not wait for the history: kept in Airflow's database, followed at once, and recorded late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.history import History, HistoryUnavailable, open_history
from release_pipelines.airflow import aside
from release_pipelines.airflow.commands import CommandCache, HistoryCommands
from release_pipelines.core.progression.commands import ReleaseCommands

RELEASE = "release_shop/r1#0"


@pytest.fixture(scope="module", autouse=True)
def _database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session

    with create_session() as session:
        for it in session.query(Variable).filter(Variable.key == aside.VARIABLE):
            session.delete(it)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a trigger is told by its supervisor, which reads the same database."""
    from airflow.models.variable import Variable
    from airflow.sdk import Variable as Told

    def get(key: str, default: Any = None, **_: Any) -> Any:
        return Variable.get(key, default_var=default)

    monkeypatch.setattr(Told, "get", get)


class Away:
    """A history that answers when it is told to."""

    def __init__(self, history: History) -> None:
        self.history, self.away = history, True

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise HistoryUnavailable("The release history does not answer.")
        return getattr(self.history, name)


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    given = {"conn_type": "sqlite", "host": f"{tmp_path}/history.db"}
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", json.dumps(given))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    made = open_history(f"sqlite:///{tmp_path}/history.db")
    made.begin(RELEASE, "shop", "release_shop", "r1", "1.1.0", "alice")
    return made


def test_the_same_command_within_a_moment_is_one(read: None) -> None:
    first, second = (aside.put_aside(RELEASE, "abort", "bob", "wrong prices") for _ in range(2))
    assert first == second
    assert first.id < 0
    aside.put_aside(RELEASE, "pause", "bob", None)
    aside.put_aside("release_cart/r1#0", "pause", "bob", None)
    assert [it.kind for it in aside.put_aside_of([RELEASE])] == ["abort", "pause"]


async def test_an_abort_is_followed_while_the_history_is_away_and_recorded_late(history: History, read: None) -> None:
    cache, away = CommandCache.here(), Away(history)
    cache._history = away  # type: ignore[assignment]
    commands = ReleaseCommands(HistoryCommands(RELEASE))
    assert (await commands.state()).abort is None
    given = aside.put_aside(RELEASE, "abort", "bob", "wrong prices")
    cache._read_at = 0.0
    abort = (await commands.state()).abort
    assert abort is not None
    assert (abort.by, abort.reason) == ("bob", "wrong prices")
    for _ in range(2):
        await commands.answer(abort, "All traffic is back on stable.")

    away.away = False
    cache._read_at = 0.0
    abort = (await commands.state()).abort
    assert abort is not None
    assert abort.id > 0
    [recorded] = history.commands(RELEASE)
    assert (recorded.kind, recorded.by, recorded.at) == ("abort", "bob", given.at)
    from release_pipelines.airflow.hooks.history import HistoryHook

    [recorded] = HistoryHook().history().commands(RELEASE)  # what it missed is written when it is opened
    assert recorded.effect == "All traffic is back on stable."
    rows = [it for it in history.audit_rows() if it.action == "abort"]
    assert [it.phase for it in rows] == ["late", "late"]


async def test_a_command_that_was_put_aside_unnoticed_is_still_taken(history: History, read: None) -> None:
    cache = CommandCache.here()
    cache._history = history
    aside.put_aside(RELEASE, "pause", "bob", None)
    state = await ReleaseCommands(HistoryCommands(RELEASE)).state()
    assert state.pause is not None
    assert state.pause.by == "bob"
    assert state.pause.id > 0
