"""The window closes in mid-release: the release finishes, keeps its traffic as it is, or gives it back (R19)."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from release_pipelines.airflow import windows
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.progression import closing
from tests.fakes import GOOD, FakePrometheus, World
from tests.progression.helpers import (
    RELEASE,
    again,
    command,
    effect,
    event,
    promotion,
    released,
    run_with_a_crash,
    splits,
    step,
    until,
    weights,
)


class Told(NamedTuple):
    """What a calendar says."""

    open: bool
    sentence: str
    closes_at: float | None = None
    opens_at: float | None = None


class Calendar:
    """One that a test closes and opens; how often it was asked is counted."""

    def __init__(self) -> None:
        self.closed = False
        self.closes_at: float | None = None
        self.asked = 0

    def standing(self, rule: WindowRule, at: float) -> Told:
        self.asked += 1
        if self.closed or at >= (self.closes_at or math.inf):
            return Told(False, 'closed: freeze "year end" (stocktaking)')
        return Told(True, 'open: "nightly"', closes_at=self.closes_at)


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch) -> Calendar:
    it = Calendar()
    monkeypatch.setattr(windows, "standing_at", it.standing)
    monkeypatch.setattr(closing, "LOOK_SECONDS", 0.02)
    HistoryHook().history().begin(RELEASE, "shop", "release_shop", "run", "1.1.0", "alice")
    return it


def rule(policy: str, limit: float = 3600, **stages: str) -> dict[str, Any]:
    on_close = {"policy": policy, "limit": limit, "stages": stages}
    return to_json(WindowRule(calendars=["nights"], app="shop", environment="production", on_close=on_close))  # type: ignore[arg-type]


def kept(trigger: Any, policy: str, limit: float = 3600, **stages: str) -> Any:
    """The trigger, of a release that keeps to the calendar."""
    trigger.arguments["window"] = rule(policy, limit, **stages)
    return trigger


def noted() -> list[str]:
    return [it.sentence for it in HistoryHook().history().release(RELEASE).events if it.kind == "window"]


async def held(world: World, is_true: Callable[[], bool] | None = None) -> None:
    await until(is_true or (lambda: world.route is not None and world.route.note.closed_at is not None))


def half(world: World) -> World:
    return released(world, canary=True)


async def test_a_release_that_finishes_never_asks_while_it_goes_on(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:
    half(world)
    calendar.closed = True
    said = await event(kept(step(name="step_50", weight=50), "finish"))
    assert said["verdict"]["judgement"] == "pass"
    assert calendar.asked == 0


async def test_a_window_that_closes_stops_the_clock_and_leaves_the_traffic_where_it_is(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:
    half(world)
    running = asyncio.create_task(event(kept(step(name="step_50", weight=50), "pause")))
    await until(lambda: weights(world) == [50])
    calendar.closed = True
    await held(world)
    await asyncio.sleep(0.4)  # longer than its hold
    assert not running.done()
    assert world.route
    assert world.route.traffic.weight("canary") == 50
    assert noted() == [
        'The window has closed: closed: freeze "year end" (stocktaking). The traffic stays as it is, for at most 1 h.'
    ]
    calendar.closed = False
    assert (await running)["verdict"]["judgement"] == "pass"
    assert set(weights(world)) == {50}
    assert noted()[-1] == 'The window is open again: open: "nightly". The release goes on.'


async def test_a_version_that_turns_bad_while_its_window_is_closed_goes_back_at_once(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:  # R4
    half(world)
    running = asyncio.create_task(event(kept(step(name="step_50", weight=50, hold=60), "pause")))
    await until(lambda: weights(world) == [50])
    calendar.closed = True
    await held(world)
    prometheus.bad = 0.5
    said = await running
    assert said["verdict"]["judgement"] == "fail"
    assert "error rate" in said["verdict"]["sentence"]
    assert weights(world)[-1] == 0


async def test_a_window_that_stays_closed_beyond_the_limit_gives_the_traffic_back(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:
    half(world)
    running = asyncio.create_task(event(kept(step(name="step_50", weight=50, hold=60), "pause", limit=0.3)))
    await until(lambda: weights(world) == [50])
    calendar.closed = True
    said = await running
    sentence = said["verdict"]["sentence"]
    assert sentence == (
        'its window has closed, and has not opened again within 300 ms (closed: freeze "year end" (stocktaking))'
    )
    assert weights(world)[-1] == 0


async def test_the_limit_goes_on_over_a_restart(world: World, prometheus: FakePrometheus, calendar: Calendar) -> None:
    half(world)
    trigger = kept(step(name="step_50", weight=50, hold=60), "pause", limit=3600)
    running = asyncio.create_task(event(trigger))
    await until(lambda: weights(world) == [50])
    calendar.closed = True
    await held(world)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert world.route
    note = world.route.note
    world.route = world.route.model_copy(update={"note": note.model_copy(update={"closed_at": time.time() - 3601})})
    said = await event(again(trigger))
    assert said["verdict"]["sentence"].startswith("its window has closed")
    assert len(noted()) == 1, "a restart closes nothing anew"


async def test_where_a_team_wants_it_the_traffic_goes_back_when_the_window_closes(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:
    half(world)
    running = asyncio.create_task(event(kept(step(name="step_50", weight=50, hold=60), "rollback")))
    await until(lambda: weights(world) == [50])
    calendar.closes_at = time.time() + 0.2
    said = await running
    assert said["verdict"]["sentence"] == 'its window has closed (closed: freeze "year end" (stocktaking))'
    assert weights(world) == [50, 0]
    assert said["verdict"]["weight"] == 50


async def test_a_stage_may_have_a_policy_of_its_own(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:
    half(world)
    trigger = kept(step(name="step_50", weight=50, hold=60), "pause", step_50="rollback")
    calendar.closes_at = time.time() + 0.2
    assert (await event(trigger))["verdict"]["sentence"].startswith("its window has closed (")


async def test_nothing_is_promoted_while_the_window_is_closed(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:  # R18
    half(world)
    running = asyncio.create_task(event(kept(step(name="bake", weight=100, last=True), "pause")))
    await until(lambda: weights(world) == [100])
    calendar.closed = True
    await held(world)
    await asyncio.sleep(0.3)
    assert not running.done()
    command("skip")
    await asyncio.sleep(0.2)
    assert not running.done(), "a person cannot open a window"
    calendar.closed = False
    assert (await running)["verdict"]["judgement"] == "pass"


async def test_whoever_skips_a_hold_in_a_closed_window_is_told_that_it_ends_when_it_opens(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:
    half(world)
    running = asyncio.create_task(event(kept(step(name="step_50", weight=50, hold=60), "pause")))
    await until(lambda: weights(world) == [50])
    calendar.closed = True
    await held(world)
    number = command("skip")
    await until(lambda: effect(number) is not None)
    assert effect(number) == (
        'The window is closed (closed: freeze "year end" (stocktaking)): the hold of step_50 ends when it opens.'
    )
    calendar.closed = False
    assert (await running)["verdict"]["judgement"] == "pass"


@pytest.mark.parametrize("policy", ["finish", "pause", "rollback"])
async def test_an_abort_never_asks_a_calendar(
    world: World, prometheus: FakePrometheus, calendar: Calendar, policy: str
) -> None:
    half(world)
    running = asyncio.create_task(event(kept(step(name="step_50", weight=50, hold=60), policy)))
    await until(lambda: weights(world)[:1] == [50])
    number = command("abort", reason="enough")
    calendar.closed = policy != "rollback"
    said = await running
    assert said["aborted"] == {"by": "bob", "reason": "enough"}
    assert weights(world)[-1] == 0
    assert effect(number) == "All traffic is back on stable."


async def test_no_stage_gives_more_traffic_in_a_closed_window(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:
    calendar.closed = True
    released(world, canary=True, weight=10, step="step_10")
    trigger = kept(step(name="step_50", weight=50), "pause")
    await trigger.begin(world.platform())
    running = asyncio.create_task(event(trigger))
    await held(world)
    assert {it.weight("canary") for it in splits(world)} == {10}
    calendar.closed = False
    assert (await running)["verdict"]["judgement"] == "pass"
    assert weights(world)[-1] == 50


async def test_a_version_that_turns_bad_before_the_next_stage_may_begin_goes_back(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:  # R4
    calendar.closed = True
    released(world, canary=True, weight=10, step="step_10")
    assert world.route
    began = world.route.note.model_copy(update={"started_at": time.time()})
    world.route = world.route.model_copy(update={"note": began})
    prometheus.bad = 0.5
    said = await event(kept(step(name="step_50", weight=50), "pause"))
    assert said["verdict"]["judgement"] == "fail"
    assert weights(world)[-1] == 0


async def test_a_step_that_waits_for_a_person_does_not_wait_for_one_because_of_a_window(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:
    half(world)
    calendar.closes_at = time.time() + 0.2
    said = await event(kept(step(name="step_50", weight=50, hold=60, wait_for_person=True), "rollback"))
    assert said["verdict"]["judgement"] == "fail"


async def test_what_is_told_of_a_stage_says_that_its_window_is_closed(
    world: World, prometheus: FakePrometheus, calendar: Calendar, caplog: pytest.LogCaptureFixture
) -> None:  # R13
    half(world)
    caplog.set_level("INFO")
    running = asyncio.create_task(event(kept(step(name="step_50", weight=50), "pause")))
    await until(lambda: weights(world) == [50])
    calendar.closed = True
    await until(lambda: "Its clock stands still until its window opens" in caplog.text)
    calendar.closed = False
    await running


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 9))
async def test_whoever_dies_at_any_write_while_it_closes_is_gone_on_from(
    world: World, prometheus: FakePrometheus, calendar: Calendar, number: int, after: bool
) -> None:  # R6
    half(world)
    calendar.closes_at = time.time() + 0.1
    trigger = kept(step(name="step_50", weight=50, hold=60), "rollback")
    said = await run_with_a_crash(world, trigger, number, after=after)
    assert said["verdict"]["judgement"] == "fail"
    assert world.route
    assert world.route.traffic.weight("stable") == 100


def test_a_stage_reads_what_versions_before_have_stored() -> None:
    assert "closed_at" not in to_json(released(World()).route.note)  # type: ignore[union-attr]


async def test_a_version_that_is_bad_when_the_window_closes_goes_back_for_that(
    world: World, prometheus: FakePrometheus, calendar: Calendar
) -> None:
    half(world)
    prometheus.bad = 0.5
    trigger = kept(step(name="step_50", weight=50, hold=60, analysis={"interval": 0.5}), "rollback")
    running = asyncio.create_task(event(trigger))
    await until(lambda: bool(prometheus.asked))
    calendar.closes_at = time.time()  # between the first measurement and the one that confirms it
    said = await running
    assert said["verdict"]["judgement"] == "fail"
    assert said["verdict"]["sentence"].startswith("error rate"), said["verdict"]["sentence"]


@pytest.fixture
def baked(world: World, prometheus: FakePrometheus, calendar: Calendar) -> World:
    """The bake has ended, and then its window has closed."""
    calendar.closed = True
    return released(world, canary=True, weight=100, step="bake")


async def test_a_window_that_closes_after_the_bake_holds_the_promotion_up(baked: World, calendar: Calendar) -> None:
    running = asyncio.create_task(event(kept(promotion(), "pause")))
    await held(baked)
    await asyncio.sleep(0.3)
    assert baked.tracks["stable"].digest == GOOD, "the way back stays"
    assert baked.route
    assert baked.route.traffic.weight("canary") == 100
    calendar.closed = False
    assert (await running)["promoted"]


async def test_a_promotion_that_waits_beyond_the_limit_ends_for_the_way_back(baked: World, calendar: Calendar) -> None:
    said = await event(kept(promotion(), "pause", limit=0.2))
    assert said["failure"].startswith(closing.CLOSED)
    assert baked.tracks["stable"].digest == GOOD


async def test_the_bake_says_what_the_promotion_does(baked: World, calendar: Calendar) -> None:
    said = await event(kept(promotion(), "pause", bake="rollback"))
    assert said["failure"].startswith(closing.CLOSED)


async def test_a_release_that_finishes_is_promoted_in_a_closed_window(baked: World, calendar: Calendar) -> None:
    assert (await event(kept(promotion(), "finish")))["promoted"]


async def test_a_person_aborts_a_promotion_that_waits_for_its_window(baked: World, calendar: Calendar) -> None:
    running = asyncio.create_task(event(kept(promotion(), "pause")))
    await held(baked)
    command("abort", reason="enough")
    assert (await running)["aborted"] == {"by": "bob", "reason": "enough"}
    assert baked.tracks["stable"].digest == GOOD
