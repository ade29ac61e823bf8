"""The release's heartbeat, and who waits for its end."""

from __future__ import annotations

import asyncio
import time

from release_pipelines.airflow.triggers import LeaseFreeTrigger, RolloutTrigger, WatchTrigger
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.lease import Lease
from release_pipelines.features.lease.triggers import HoldLeaseTrigger
from tests.fakes import GOOD, NEW, World, artifact, target
from tests.progression.helpers import RELEASE, again, event, released, until


def heartbeat(world: World) -> HoldLeaseTrigger:
    """Renews the lease that the world has."""
    assert world.lease
    return HoldLeaseTrigger(target=to_json(target()), lease=to_json(world.lease), ttl=60)


async def test_the_lease_is_renewed_until_it_is_given_back(world: World) -> None:  # R2
    released(world)
    world.lease = Lease(holder=RELEASE, fence=1, expires_at=time.time() + 1)
    holding = asyncio.create_task(event(heartbeat(world)))
    await until(lambda: bool(world.lease) and world.lease.expires_at > time.time() + 30)
    await world.platform().give_back_lease(target(), world.lease)
    assert await asyncio.wait_for(holding, 5) == {"given_back": True}
    assert world.lease is None


async def test_a_lease_that_was_taken_by_force_ends_the_heartbeat_with_the_taker(world: World) -> None:  # R2
    released(world)
    holding = asyncio.create_task(event(heartbeat(world)))
    await until(lambda: "renew_lease" in world.calls)
    await world.platform().take_lease(target(), "release_shop/rollback", 60, force=True)
    assert await asyncio.wait_for(holding, 5) == {"taken_by": "release_shop/rollback"}


async def test_a_heartbeat_that_starts_again_goes_on(world: World) -> None:  # R6
    released(world)
    trigger = heartbeat(world)
    first = asyncio.create_task(event(trigger))
    await until(lambda: "renew_lease" in world.calls)
    first.cancel()
    world.calls.clear()
    second = asyncio.create_task(event(again(trigger)))
    await until(lambda: "renew_lease" in world.calls)
    assert not second.done()
    second.cancel()


async def test_who_waits_for_a_lease_goes_on_when_it_is_given_back(world: World) -> None:  # R2
    released(world)
    waiting = asyncio.create_task(event(LeaseFreeTrigger(target=to_json(target()))))
    await until(lambda: "observe" in world.calls)
    assert not waiting.done()
    assert world.lease
    await world.platform().give_back_lease(target(), world.lease)
    assert await asyncio.wait_for(waiting, 5) == {"free": True}


async def test_an_expired_lease_is_free(world: World) -> None:  # R2
    released(world)
    world.lease = Lease(holder="gone", fence=1, expires_at=time.time() - 1)
    assert await event(LeaseFreeTrigger(target=to_json(target()))) == {"free": True}


async def test_a_rollout_is_advanced_until_it_is_settled(world: World) -> None:  # R7
    released(world)
    await world.platform().deploy(target(), "canary", artifact(), 3, 1)
    said = await event(RolloutTrigger(target=to_json(target()), track="canary", fence=1))
    assert said["status"]["settled"]
    assert said["status"]["ready"] == 3


async def test_a_rollout_that_cannot_succeed_ends_with_the_reason(world: World) -> None:  # R7
    released(world)
    world.broken[NEW] = "no such image"
    await world.platform().deploy(target(), "canary", artifact(), 1, 1)
    said = await event(RolloutTrigger(target=to_json(target()), track="canary", fence=1))
    assert said["status"]["failure"] == "no such image"


async def test_who_only_watches_changes_nothing(world: World) -> None:  # R7
    released(world)
    said = await event(WatchTrigger(target=to_json(target()), track="stable"))
    assert said["status"]["digest"] == GOOD
    assert not world.writes
