"""Rolling updates and weights under real traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import pytest

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from tests.container_host.side_by_side import scenario
from tests.container_host.worlds import Load, World

Image = Callable[..., Artifact]


@scenario
async def test_a_rolling_update_under_traffic_loses_nothing(world: World, image: Image) -> None:  # R5
    world.workload(replicas=2)
    assert (await world.deploy("stable", image("1.0.0"))).settled
    await world.split(0)
    await world.serves("1.0.0")
    async with world.traffic() as load:
        await world.platform.deploy(world.target, "stable", image("1.1.0"), None, world.lease.fence)
        fewest = 2
        while not (status := await world.platform.advance(world.target, "stable", world.lease.fence)).settled:
            assert status.failure is None
            fewest = min(fewest, status.ready)
            await asyncio.sleep(0.2)
        await world.serves("1.1.0")
    assert load.lost == []
    assert set(load.versions) == {"1.0.0", "1.1.0"}
    assert fewest == 2
    assert {c.labels["release-pipelines.version"] for c in world.containers()} == {"1.1.0"}


@scenario
async def test_weights_split_real_traffic_and_changing_them_loses_nothing(world: World, image: Image) -> None:  # R5
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    await world.serves("1.0.0")
    assert (await world.deploy("canary", image("1.1.0"), replicas=1)).settled
    assert await world.split(20)
    await world.serves("1.1.0", share=0.1)

    load = Load()
    async with aiohttp.ClientSession() as session:
        for _ in range(50):
            await asyncio.gather(*(world.ask(load, session) for _ in range(20)))
    assert load.lost == []
    assert sum(load.versions.values()) == 1000
    assert load.versions["1.1.0"] / 1000 == pytest.approx(0.20, abs=0.04)

    async with world.traffic() as load:
        for number in range(20):
            await world.split((number * 37) % 101)
            seen = (await world.platform.observe(world.target)).route
            assert seen is not None
            assert seen.traffic.weight("canary") == (number * 37) % 101
    assert load.lost == []
    await world.split(0)
    await world.serves("1.0.0")


@scenario
async def test_a_track_is_retired_under_traffic_only_when_it_has_none(world: World, image: Image) -> None:  # R5 R15
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    await world.deploy("canary", image("1.1.0"), replicas=1)
    await world.split(50)
    await world.serves("1.1.0", share=0.3)
    with pytest.raises(PlatformError, match="50 % of the traffic"):
        await world.platform.retire(world.target, "canary", world.lease.fence)
    async with world.traffic() as load:
        await world.split(0)
        assert await world.platform.retire(world.target, "canary", world.lease.fence)
        await world.serves("1.0.0")
        assert not await world.platform.retire(world.target, "canary", world.lease.fence)
        assert await world.split(0, done=True)
        await world.serves("1.0.0")
    assert load.lost == []
    assert world.containers(track="canary") == []
    assert len(world.containers(track="stable")) == 1
    assert "canary" not in (await world.platform.observe(world.target)).tracks


@scenario
async def test_promotion_rolls_stable_while_the_canary_serves(world: World, image: Image) -> None:  # R18
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    await world.serves("1.0.0")
    await world.deploy("canary", image("1.1.0"))
    async with world.traffic() as load:
        await world.split(100)
        assert (await world.deploy("stable", image("1.1.0"))).settled
        await world.split(50)
        await world.split(0)
        await world.platform.retire(world.target, "canary", world.lease.fence)
        await world.serves("1.1.0")
    assert load.lost == []
