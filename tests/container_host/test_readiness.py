"""What cannot become ready is said within seconds, with the reason and the last lines (R7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from release_pipelines.adapters.platforms.container_host.platform import ContainerHost
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import TrackStatus
from tests.container_host.side_by_side import scenario
from tests.container_host.worlds import World

Image = Callable[..., Artifact]


async def failing(world: World, artifact: Artifact, track: str = "stable") -> str:
    """The reason why the artifact does not become ready; the track must keep saying it."""
    status = await world.deploy(track, artifact)
    assert status.failure is not None
    assert not status.settled
    seen: TrackStatus = (await world.platform.observe(world.target)).track(track)  # type: ignore[arg-type]
    assert seen.failure == status.failure
    return status.failure


@scenario
async def test_a_crash_is_explained_and_leaves_the_old_version_alone(world: World, image: Image) -> None:
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    await world.serves("1.0.0")
    async with world.traffic() as load:
        failure = await failing(world, image("1.2.0", mode="crash"))
    assert "exit code 1" in failure
    assert "the database password is missing" in failure
    assert "line 7 of 1.2.0" in failure
    assert "line 2 of 1.2.0" not in failure
    assert load.lost == []
    assert set(load.versions) == {"1.0.0"}
    status = await world.deploy("stable", image("1.0.0"))  # the way back
    assert status.settled
    assert {c.labels["release-pipelines.version"] for c in world.containers()} == {"1.0.0"}


@scenario
async def test_another_try_begins_without_the_remains_of_the_last(world: World, image: Image) -> None:
    crashing = image("1.2.0", mode="crash")
    await failing(world, crashing)
    first = {container.id for container in world.containers()}
    assert await world.platform.deploy(world.target, "stable", crashing, None, world.lease.fence)
    assert world.containers() == []
    assert (await world.settle("stable")).failure is not None
    assert not first & {container.id for container in world.containers()}


@scenario
async def test_an_image_that_does_not_exist_is_named(world: World, image: Image) -> None:
    missing = image("1.0.0").model_copy(update={"digest": "sha256:" + "0" * 64})
    failure = await failing(world, missing)
    assert missing.reference in failure
    assert "has no image" in failure


@scenario
async def test_a_registry_that_is_away_is_waited_for_until_the_timeout(world: World, image: Image) -> None:
    world.workload(ready_timeout=10)
    away = image("1.0.0").model_copy(update={"image": "127.0.0.1:9/shop", "digest": "sha256:" + "1" * 64})
    await world.platform.deploy(world.target, "stable", away, None, world.lease.fence)
    first = await world.platform.advance(world.target, "stable", world.lease.fence)
    assert first.failure is None
    assert first.waiting is not None
    failure = (await world.settle("stable")).failure
    assert failure is not None
    assert "registry" in failure


@scenario
async def test_an_app_that_serves_another_port_is_not_ready(world: World, image: Image) -> None:
    world.workload(ready_timeout=20)
    failure = await failing(world, image("1.3.0", mode="deaf"))
    assert "does not serve port 8080" in failure
    assert "line 7 of 1.3.0" in failure


@scenario
async def test_an_app_whose_health_path_complains_is_not_ready(world: World, image: Image) -> None:
    world.workload(ready_timeout=20)
    assert "answers /health with 503" in await failing(world, image("1.4.0", mode="sick"))


@scenario
async def test_a_command_that_does_not_exist_is_explained(world: World, image: Image) -> None:
    failure = await failing(world, image("1.5.0", mode="no-command"))
    assert "cannot be started" in failure
    assert "/missing" in failure


@scenario
async def test_running_out_of_memory_is_named(world: World, image: Image) -> None:
    world.workload(memory="64Mi")
    failure = await failing(world, image("1.6.0", mode="hungry"))
    assert "OOMKilled" in failure or "exit code 137" in failure


@scenario
async def test_a_killed_canary_is_seen(world: World, image: Image) -> None:  # R5
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    await world.deploy("canary", image("1.1.0"), replicas=1)
    await world.split(30)
    for container in world.containers(track="canary"):
        container.kill()
    observed = await world.platform.observe(world.target)
    assert observed.weight("canary") == 30
    assert observed.track("canary").ready == 0
    assert "exit code 137" in (observed.track("canary").failure or "")
    assert observed.track("stable").ready == 1
    assert await world.split(0)


@scenario
async def test_a_killed_replica_of_stable_is_replaced_at_the_next_step(world: World, image: Image) -> None:
    world.workload(replicas=2)
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    world.containers()[0].kill()
    observed = (await world.platform.observe(world.target)).track("stable")
    assert (observed.ready, observed.settled, observed.failure) == (1, False, None)
    assert (await world.settle("stable")).settled
    assert len(world.containers()) == 2


@scenario
async def test_fewer_replicas_take_the_others_away(world: World, image: Image) -> None:
    await world.deploy("stable", image("1.0.0"), replicas=2)
    status = await world.deploy("stable", image("1.0.0"), replicas=1)
    assert (status.wanted, status.ready, len(world.containers())) == (1, 1, 1)


@scenario
async def test_two_watchers_at_once_do_no_more_than_one(world: World, image: Image) -> None:  # R6
    world.workload(replicas=2)
    async with ContainerHost(world.stack.engine_url, world.stack.state_url) as other:
        await world.platform.deploy(world.target, "stable", image("1.0.0"), None, world.lease.fence)
        await both_settle(world, other)
        await world.split(0)
        await world.serves("1.0.0")
        await world.platform.deploy(world.target, "stable", image("1.1.0"), None, world.lease.fence)
        async with world.traffic() as load:
            most = await both_settle(world, other)
    assert load.lost == []
    assert most <= 3
    assert len(world.containers()) == 2


async def both_settle(world: World, other: ContainerHost) -> int:
    """Two platforms advance the same track at the same time; returns the most replicas that were ready at once."""
    most = 0
    async with asyncio.timeout(120):
        while True:
            steps = [p.advance(world.target, "stable", world.lease.fence) for p in (world.platform, other)]
            statuses = await asyncio.gather(*steps)
            assert [status.failure for status in statuses] == [None, None]
            most = max(most, *(status.ready for status in statuses))
            if all(status.settled for status in statuses):
                return most
            await asyncio.sleep(0.2)


@scenario
async def test_usage_is_a_share_of_the_limits(world: World, image: Image) -> None:
    world.workload(cpu=0.5, memory="128Mi")
    await world.deploy("stable", image("1.0.0"))
    usage = await world.platform.usage(world.target, "stable")
    assert usage is not None
    assert usage.cpu == pytest.approx(0.5, abs=0.5)
    assert usage.memory == pytest.approx(0.2, abs=0.19)
