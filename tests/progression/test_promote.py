"""The canary held: stable is rolled, its traffic returned, the canary retired; at any crash the same."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from release_pipelines.airflow.triggers import RetireTrigger
from release_pipelines.core.model.base import to_json
from tests.fakes import GOOD, NEW, World, target
from tests.progression.helpers import (
    PROMOTED,
    again,
    digests,
    event,
    promotion,
    released,
    run_with_a_crash,
    until,
    weights,
)


@pytest.fixture
def held(world: World) -> World:
    """The bake has ended: the canary has all traffic."""
    return released(world, canary=True, weight=100, step="bake")


async def test_stable_is_ready_before_it_gets_traffic_and_the_canary_goes_last(held: World) -> None:  # R18
    assert await event(promotion()) == {"promoted": True}
    assert [call for call, _ in held.writes] == ["deploy", "split", "split", "retire", "split"]
    assert weights(held) == [50, 0, 0]
    assert digests(held) == PROMOTED
    assert held.note.done
    assert held.note.last_good
    assert held.note.last_good.digest == NEW


async def test_the_canary_stays_as_long_as_the_data_plane_may_send_to_it(held: World) -> None:  # R15
    slow = target().model_copy(update={"settles_within": 1.0})
    moved: list[float] = []
    held.after = lambda call: moved.append(time.monotonic()) if call in ("split", "retire") else None
    assert await event(promotion(target=to_json(slow))) == {"promoted": True}
    assert [call for call, _ in held.writes] == ["deploy", "split", "split", "retire", "split"]
    assert moved[2] - moved[1] >= 0.9


async def test_a_stable_that_does_not_become_ready_leaves_the_traffic_on_the_canary(held: World) -> None:  # R18
    held.broken[NEW] = "the image needs more memory than there is"
    said = await event(promotion())
    assert said == {"failure": "the image needs more memory than there is"}
    assert held.weight == 100
    assert not weights(held)


@pytest.mark.parametrize("weight", [50, 0])
async def test_a_stable_that_dies_while_its_traffic_returns_gives_it_to_the_canary(
    held: World, weight: int
) -> None:  # R5, R18
    held.after = lambda call: held.breaks("stable") if call == "split" and held.weight == weight else None
    said = await event(promotion())
    assert "stable lost its last ready replica" in said["failure"]
    assert held.weight == 100
    assert "canary" in held.tracks


async def test_a_canary_that_dies_while_stable_is_rolled_gives_it_the_traffic_early(held: World) -> None:  # R5
    held.after = lambda call: held.breaks("canary") if call == "deploy" else None
    assert await event(promotion()) == {"promoted": True}
    assert weights(held)[0] == 0


async def test_a_promotion_that_lost_its_fence_writes_nothing(held: World) -> None:  # R2
    await held.platform().take_lease(target(), "rollback", 60, force=True)
    held.writes.clear()
    said = await event(promotion())
    assert said["kind"] == "FenceLost"
    assert not held.writes


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 13))
async def test_killed_anywhere_a_promotion_ends_as_it_would_have(held: World, number: int, after: bool) -> None:  # R6
    said = await run_with_a_crash(held, promotion(), number, after=after)
    assert said == {"promoted": True}
    assert digests(held) == PROMOTED
    assert held.weight == 0
    assert held.note.done
    assert weights(held) == sorted(weights(held), reverse=True)  # a restart never raises the canary's weight


async def test_two_promotions_at_once_are_harmless(held: World) -> None:  # R6
    trigger = promotion()
    said = await asyncio.gather(event(trigger), event(again(trigger)))
    assert list(said) == [{"promoted": True}] * 2
    assert digests(held) == PROMOTED
    assert weights(held) == sorted(weights(held), reverse=True)


async def test_the_old_track_is_retired_only_when_it_has_drained(world: World) -> None:  # R15
    released(world, canary=True)
    at, retired = time.time() + 0.3, list[float]()
    world.after = lambda call: retired.append(time.time()) if call == "retire" else None
    trigger = RetireTrigger(target=to_json(target()), fence=1, at=at)
    assert await event(trigger) == {"retired": True}
    assert len(retired) == 1
    assert retired[0] >= at
    assert digests(world) == {"stable": GOOD}
    assert await event(again(trigger)) == {"retired": False}


async def test_an_update_that_was_turned_back_half_way_is_ended_when_the_rest_is_retired(world: World) -> None:  # R8
    released(world, canary=True)
    world.tracks["stable"] = world.tracks["stable"].model_copy(update={"settled": False, "updated": 1})
    assert await event(RetireTrigger(target=to_json(target()), fence=1, at=0)) == {"retired": True}
    assert world.tracks["stable"].settled


async def test_a_track_with_traffic_is_not_retired(world: World) -> None:  # R15
    released(world, canary=True, weight=10)
    said = await event(RetireTrigger(target=to_json(target()), fence=1, at=0))
    assert said["kind"] == "PlatformError"
    assert "canary" in world.tracks


async def test_a_promotion_survives_being_moved_to_another_triggerer(held: World) -> None:  # R6
    trigger = promotion(retire_after=0.3)
    first = asyncio.create_task(event(trigger))
    await until(lambda: held.weight == 50)
    first.cancel()
    moved = again(type(trigger)(**json.loads(json.dumps(trigger.serialize()[1]))))
    assert await event(moved) == {"promoted": True}
    assert digests(held) == PROMOTED
