"""A task that is scheduled on releases gets each that held once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.airflow import held_releases as module
from release_pipelines.airflow.held_releases import held_releases

ASSET = Asset("release://production/shop")
BEGAN = datetime(2026, 11, 28, 21, tzinfo=timezone.utc)


class World:
    """Airflow's events and its store, and a task that runs whenever a test says so."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.store: dict[str, Any] = {}

    def held(self, seconds: float, number: int | None = None) -> Any:
        """A release held; its event is seen from now on."""
        event = SimpleNamespace(id=number or len(self.events) + 1, timestamp=BEGAN + timedelta(seconds=seconds))
        self.events.append(event)
        return event

    def run(self, triggering: list[Any], fails_at: int | None = None) -> list[int]:
        """What the task gets, and has done, in a run that these events began."""

        class Found(list):
            def after(self, since: str) -> list[Any]:
                return [it for it in self if it.timestamp >= datetime.fromisoformat(since)]

        context = {
            "ti": SimpleNamespace(dag_id="after_release", task_id="take_note"),
            "asset_state_store": {ASSET: SimpleNamespace(get=self.store.get, set=self.store.__setitem__)},
            "inlet_events": {ASSET: Found(self.events)},
            "triggering_asset_events": {ASSET: triggering} if triggering else {},
        }
        done: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "get_current_context", lambda: context)
            for event in held_releases(ASSET):
                if fails_at == event.id:
                    return done
                done.append(event.id)
        return done


def test_of_three_that_held_at_once_and_began_one_run_each_is_had() -> None:
    world = World()
    first, *_ = [world.held(second) for second in (0, 0.1, 0.2)]
    assert world.run([first]) == [1, 2, 3]
    assert world.run([first]) == []


def test_one_that_is_seen_late_is_had_although_later_ones_were() -> None:
    world = World()
    second = world.held(0.2, number=2)
    assert world.run([second]) == [2]
    world.held(0.1, number=1)
    assert world.run([world.held(60, number=3)]) == [1, 3]


def test_a_task_that_fails_gets_the_one_that_it_failed_at_again() -> None:
    world = World()
    first, *_ = [world.held(second) for second in (0, 1, 2)]
    assert world.run([first], fails_at=2) == [1]
    assert world.run([first]) == [2, 3]


def test_the_first_run_begins_with_what_began_it() -> None:
    world = World()
    world.held(-3600)
    assert world.run([world.held(0)]) == [2]
    assert World().run([]) == []


@given(
    moments=st.lists(st.floats(0, 3600), min_size=1, max_size=12),
    runs=st.lists(st.integers(0, 12), min_size=1, max_size=6),
)
def test_whatever_comes_between_which_runs_each_is_had_once_and_in_order(moments: list[float], runs: list[int]) -> None:
    world, had = World(), []
    waiting: Callable[[], list[Any]] = lambda: [it for it in world.events if it.id not in had]  # noqa: E731
    left = sorted(moments)
    for count in [*runs, len(left)]:
        for moment in left[:count]:
            world.held(moment)
        left = left[count:]
        if waiting():
            had += world.run(waiting()[:1])
    assert had == list(range(1, len(moments) + 1))
