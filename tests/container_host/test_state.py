"""Leases, fences, drift, and what outlives a process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
import redis.asyncio as redis

from release_pipelines.adapters.platforms.container_host.platform import ContainerHost
from release_pipelines.core.errors import CommandEnded, FenceLost, LeaseHeld, PlatformError, PlatformUnavailable
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from tests.container_host.side_by_side import scenario
from tests.container_host.stack import free_port
from tests.container_host.worlds import World

Image = Callable[..., Artifact]


async def expired(lease: Lease) -> None:
    """Wait for the lease's end."""
    await asyncio.sleep(max(0.0, lease.expires_at - time.time()))


@scenario
async def test_a_lease_is_one_writers_until_it_expires_or_is_taken_by_force(world: World) -> None:  # R2
    platform, target, lease = world.platform, world.target, world.lease
    again = await platform.take_lease(target, lease.holder, 60)
    assert again.fence == lease.fence
    with pytest.raises(LeaseHeld, match=r"run_1#0"):
        await platform.take_lease(target, "another", 60)
    forced = await platform.take_lease(target, "a rollback", 0.001, force=True)
    assert forced.fence > lease.fence
    with pytest.raises(FenceLost, match="a rollback"):
        await platform.renew_lease(target, lease, 60)
    assert not await platform.give_back_lease(target, lease)
    await expired(forced)
    renewed = await platform.renew_lease(target, forced, 0.001)  # expired, but nobody took it
    assert renewed.fence == forced.fence
    await expired(renewed)
    taken = await platform.take_lease(target, "another", 60)
    assert taken.fence > forced.fence
    assert (await platform.observe(target)).lease == taken
    assert await platform.give_back_lease(target, taken)
    assert (await platform.observe(target)).lease is None
    assert (await platform.take_lease(target, "another", 60)).fence > taken.fence


@scenario
async def test_of_many_that_want_the_lease_one_gets_it(world: World) -> None:  # R2
    await world.platform.give_back_lease(world.target, world.lease)
    tries = [world.platform.take_lease(world.target, f"run_{n}", 60) for n in range(20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert len([r for r in results if not isinstance(r, LeaseHeld)]) == 1


@scenario
async def test_who_lost_the_fence_changes_nothing(world: World, image: Image) -> None:  # R2
    platform, target, fence = world.platform, world.target, world.lease.fence
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    before = await platform.observe(target)
    newer = await platform.take_lease(target, "another", 60, force=True)
    note = RouteNote(release="late")
    for late in (
        lambda: platform.deploy(target, "stable", image("1.1.0"), None, fence),
        lambda: platform.advance(target, "stable", fence),
        lambda: platform.split(target, ALL_TO_STABLE, note, fence),
        lambda: platform.retire(target, "canary", fence),
    ):
        with pytest.raises(FenceLost, match="another"):
            await late()
    after = await platform.observe(target)
    assert after.tracks == before.tracks
    assert after.route is not None
    assert before.route is not None
    assert (after.route.traffic, after.route.note) == (before.route.traffic, before.route.note)
    assert after.route.fence == newer.fence


@scenario
async def test_everything_outlives_the_process(world: World, image: Image) -> None:  # R6
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    await world.deploy("canary", image("1.1.0"), replicas=1)
    assert await world.split(10, release="r", step="step_10", started_at=1234.5)
    assert not await world.split(10, release="r", step="step_10", started_at=1234.5)
    first = await world.platform.observe(world.target)
    async with ContainerHost(world.stack.engine_url, world.stack.state_url) as other:
        second = await other.observe(world.target)
        assert second == first
        assert (await other.advance(world.target, "canary", world.lease.fence)).settled
    assert second.route is not None
    assert second.route.note.started_at == 1234.5
    assert second.route.traffic.weights == {"stable": 90, "canary": 10}
    assert second.route.changed_by is None
    assert second.track("canary").version == "1.1.0"


@scenario
async def test_a_rollout_is_picked_up_by_another_process(world: World, image: Image) -> None:  # R6
    await world.deploy("stable", image("1.0.0"))
    await world.platform.deploy(world.target, "stable", image("1.1.0"), None, world.lease.fence)
    async with asyncio.timeout(120):
        settled = False
        while not settled:  # every step in a process of its own
            async with ContainerHost(world.stack.engine_url, world.stack.state_url) as fresh:
                for _ in range(2):
                    settled = (await fresh.advance(world.target, "stable", world.lease.fence)).settled
                    await asyncio.sleep(0.2)
    assert {c.labels["release-pipelines.version"] for c in world.containers()} == {"1.1.0"}
    await nothing_marked(world)


async def nothing_marked(world: World) -> None:
    """No container that is gone is remembered as one that drains."""
    async with redis.Redis.from_url(world.stack.state_url, decode_responses=True) as store:
        fields = await store.hkeys(f"release-pipelines/{world.target.app}/production")
    assert not [it for it in fields if it.startswith("left:")]


@scenario
async def test_a_container_that_somebody_removed_while_it_drained_is_forgotten(
    world: World, image: Image
) -> None:  # R6
    await world.deploy("stable", image("1.0.0"))
    [old] = world.containers()
    async with redis.Redis.from_url(world.stack.state_url) as store:
        await store.hset(f"release-pipelines/{world.target.app}/production", f"left:{'0' * 64}", "1.0")
    assert (await world.deploy("stable", image("1.1.0"))).settled
    assert old.id not in {it.id for it in world.containers()}
    await nothing_marked(world)


@scenario
async def test_weights_that_somebody_else_wrote_are_drift(world: World, image: Image) -> None:  # R14
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    key = f"traefik/http/services/{world.target.app}-production/weighted/services"
    async with redis.Redis.from_url(world.stack.state_url) as store:
        await store.mset({f"{key}/0/weight": 40, f"{key}/1/weight": 60})
    route = (await world.platform.observe(world.target)).route
    assert route is not None
    assert route.traffic.weights == {"stable": 40, "canary": 60}
    assert route.changed_by == "somebody"
    assert await world.split(0)
    route = (await world.platform.observe(world.target)).route
    assert route is not None
    assert route.changed_by is None


@scenario
async def test_no_traffic_for_a_track_without_a_ready_replica(world: World, image: Image) -> None:  # R5
    with pytest.raises(PlatformError, match=r"stable .* has no ready replica"):
        await world.split(0)
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    with pytest.raises(PlatformError, match=r"canary .* has no ready replica"):
        await world.split(5)
    route = (await world.platform.observe(world.target)).route
    assert route is not None
    assert route.traffic.weights == {"stable": 100}


@scenario
async def test_traffic_is_taken_back_without_the_engine(world: World, image: Image) -> None:  # R4
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    await world.deploy("canary", image("1.1.0"), replicas=1)
    await world.split(50)
    async with ContainerHost(f"tcp://127.0.0.1:{free_port()}", world.stack.state_url) as blind:
        with pytest.raises(PlatformUnavailable, match="container engine"):
            await blind.observe(world.target)
        assert await blind.split(world.target, ALL_TO_STABLE, RouteNote(), world.lease.fence)
    await world.serves("1.0.0")


@scenario
async def test_deploying_what_stands_changes_nothing(world: World, image: Image) -> None:  # R17
    await world.deploy("stable", image("1.0.0"))
    before = {container.id for container in world.containers()}
    assert not await world.platform.deploy(world.target, "stable", image("1.0.0"), None, world.lease.fence)
    assert (await world.settle("stable")).settled
    assert {container.id for container in world.containers()} == before


@scenario
async def test_a_command_runs_once_in_the_image(world: World, image: Image) -> None:
    command = ["python3", "-c", "import os; print('hello', os.environ['WHO'])"]
    said = await world.platform.run(world.target, image("1.0.0").reference, command, {"WHO": "you"}, 30)
    assert said.strip() == "hello you"
    reach = ["python3", "-c", f"import urllib.request as u; print(u.urlopen('{world.stack.proxy_api}/ping').status)"]
    assert (await world.platform.run(world.target, image("1.0.0").reference, reach, {}, 30)).strip() == "200"
    failing = ["python3", "-c", "import sys; print('no such page'); sys.exit(3)"]
    with pytest.raises(CommandEnded, match=r"exit code 3(.|\n)*no such page") as ended:
        await world.platform.run(world.target, image("1.0.0").reference, failing, {}, 30)
    assert (ended.value.exit_code, ended.value.output.strip()) == (3, "no such page")
    with pytest.raises(CommandEnded, match="took longer than 1 s"):
        await world.platform.run(
            world.target, image("1.0.0").reference, ["python3", "-c", "import time; time.sleep(60)"], {}, 1
        )
    with pytest.raises(PlatformError, match="cannot be run"):
        await world.platform.run(world.target, image("1.0.0").reference, ["/missing"], {}, 30)
    assert world.containers() == []


async def test_what_is_not_there_is_said_before_a_release_begins(world: World) -> None:
    await world.platform.check(world.target)
    nowhere = free_port()
    async with ContainerHost(f"tcp://127.0.0.1:{nowhere}", world.stack.state_url) as platform:
        with pytest.raises(PlatformUnavailable, match="container engine"):
            await platform.check(world.target)
    async with ContainerHost(world.stack.engine_url, f"redis://:secret@127.0.0.1:{nowhere}/0") as platform:
        with pytest.raises(PlatformUnavailable, match="state store") as refused:
            await platform.check(world.target)
    assert "secret" not in str(refused.value)
    with pytest.raises(PlatformUnavailable, match="proxy"):
        await world.platform.check(world.target.model_copy(update={"url": f"http://127.0.0.1:{nowhere}"}))
    async with redis.Redis.from_url(world.stack.state_url) as store:
        await store.config_set("notify-keyspace-events", "")
        try:
            with pytest.raises(PlatformError, match="KEA"):
                await world.platform.check(world.target)
        finally:
            await store.config_set("notify-keyspace-events", "KEA")
