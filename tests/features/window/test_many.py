"""Many releases that wait for one window, in one event loop whose time passes only when all of them wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.history.store import History
from release_pipelines.airflow.commands import CommandCache
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.window import WindowRule
from release_pipelines.features.window.triggers import WindowTrigger
from tests.engine.virtual import Clock, VirtualLoop

OPENS = datetime(2026, 11, 28, 21, tzinfo=timezone.utc).timestamp()
BEFORE = 2.6
FORTY = [f"app{n}" for n in range(40)]


def release_of(app: str) -> str:
    return f"release_{app}/r#0"


class Waits:
    """All of them, and when each one fired, as seconds after the opening that ``time.time`` tells."""

    def __init__(self, clock: Clock, loop: VirtualLoop, history: History) -> None:
        self.clock, self.loop, self.history = clock, loop, history
        self.fired: list[tuple[str, float, dict[str, Any]]] = []

    async def one(self, app: str, **more: Any) -> None:
        rule = WindowRule(calendars=["eu"], app=app, environment="production", time_zone="Europe/Berlin")
        trigger = WindowTrigger(rule=to_json(rule), release=release_of(app), **more)
        async for event in WindowTrigger(**trigger.serialize()[1]).run():
            self.fired.append((app, OPENS - BEFORE + self.clock.now - OPENS, event.payload))

    def all(self, **more: Any) -> None:
        async def run() -> None:
            CommandCache.here()._history = self.history
            await asyncio.gather(*(self.one(app, **more) for app in FORTY))
            if polling := CommandCache.here()._polling:
                polling.cancel()
                await asyncio.gather(polling, return_exceptions=True)

        self.loop.run_until_complete(run())


@pytest.fixture
def waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    """2.6 seconds before a window opens."""
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RELEASE_PIPELINES_CALENDARS", str(tmp_path))
    (tmp_path / "eu.yaml").write_text(
        'time_zone: Europe/Berlin\nentries:\n- {window: w, days: sat, from: "22:00", to: "02:00"}\n'
    )
    history = HistoryHook().history()
    for app in FORTY:
        history.begin(release_of(app), app, f"release_{app}", "r", "1.0.0", "alice")
    clock = Clock()
    loop = VirtualLoop(clock)
    monkeypatch.setattr("time.time", lambda: OPENS - BEFORE + clock.now)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    yield Waits(clock, loop, history)
    loop.close()


def test_forty_waits_that_end_in_one_second_all_end_once_and_none_before_the_opening(waits: Waits) -> None:
    waits.all()
    assert sorted(app for app, _, _ in waits.fired) == sorted(FORTY)
    assert all(payload["open"].startswith('open: "w" of calendar eu until') for _, _, payload in waits.fired)
    moments = [moment for _, moment, _ in waits.fired]
    assert min(moments) >= 0
    assert max(moments) < 1


def test_forty_plans_for_one_moment_end_at_that_moment(waits: Waits) -> None:
    waits.all(start_at="2026-11-28 22:00:05 Europe/Berlin")
    assert len(waits.fired) == len(FORTY)
    moments = [moment for _, moment, _ in waits.fired]
    assert min(moments) >= 5
    assert max(moments) < 6


def test_of_forty_waits_one_is_ended_by_a_person_and_the_others_go_on(waits: Waits) -> None:
    waits.history.command(release_of("app7"), "abort", "carol", "not tonight")
    waits.all()
    ended = [payload for app, _, payload in waits.fired if app == "app7"]
    assert ended == [{"aborted": {"by": "carol", "reason": "not tonight"}}]
    assert len([it for it in waits.fired if "open" in it[2]]) == len(FORTY) - 1
