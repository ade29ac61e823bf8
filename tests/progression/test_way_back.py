"""A way back that does not get through: people hear of it, and requests reach stable by another way."""

from __future__ import annotations

import asyncio

import pytest

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.errors import PlatformUnavailable
from release_pipelines.core.progression import watch
from tests.fakes import FakePrometheus, World
from tests.progression.helpers import RELEASE, command, effect, event, released, step, until

REFUSED = "Kubernetes: status 500, failed calling webhook"


@pytest.fixture
def closed(world: World, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The route cannot be written while this holds True."""
    monkeypatch.setattr(watch, "STUCK_SECONDS", 0.1)
    closed = [False]

    def before(call: str) -> None:
        if call == "split" and closed[0]:
            raise PlatformUnavailable(REFUSED)

    world.before = before
    return closed


async def test_a_way_back_that_does_not_get_through_is_told_and_gone_around(
    world: World, prometheus: FakePrometheus, closed: list[bool]
) -> None:  # R4
    command("resume")
    released(world)
    trigger = step(hold=60)
    trigger.arguments["calls_people"] = True
    running = asyncio.create_task(event(trigger))
    await until(lambda: world.weight == 10)
    closed[0] = True
    prometheus.bad = 0.2
    said = await asyncio.wait_for(running, 60)
    assert said["kind"] == "TrafficStuck"
    assert "The traffic has not moved; requests for the tracks beside stable reach stable's replicas" in said["error"]
    assert REFUSED in said["error"]
    assert "divert" in [call for call, _ in world.writes]
    assert said["error"] in [it.sentence for it in HistoryHook().history().release(RELEASE).events]

    again = asyncio.create_task(event(step(hold=60)))  # as its task starts it again: now people know
    await asyncio.sleep(0.5)
    assert not again.done()
    closed[0] = False
    assert (await asyncio.wait_for(again, 60))["verdict"]["judgement"] == "fail"
    assert world.weight == 0


async def test_an_abort_is_answered_with_why_nothing_has_moved(
    world: World, prometheus: FakePrometheus, closed: list[bool]
) -> None:
    released(world)
    running = asyncio.create_task(event(step(hold=60)))
    await until(lambda: world.weight == 10)
    closed[0] = True
    number = command("abort")
    await until(lambda: effect(number) is not None)
    closed[0] = False
    assert (await asyncio.wait_for(running, 60))["aborted"]["by"] == "bob"
    said = effect(number)
    assert said
    assert REFUSED in said
    assert "The traffic has not moved" in said
