"""What happens to machines: replicas come back, and nobody is sent to one that is gone. Each test has the host for itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import aiohttp
import psutil
import pytest
import redis.asyncio as redis

from release_pipelines.adapters.platforms.container_host import host, workloads
from release_pipelines.adapters.platforms.container_host.keeper import Keeper
from release_pipelines.adapters.platforms.container_host.platform import ContainerHost
from release_pipelines.adapters.platforms.container_host.replicas import container_body, some_ports
from release_pipelines.core.model.artifact import Artifact
from tests.container_host import stack as running
from tests.container_host.docker_engine import NotToBeHad, docker_engine
from tests.container_host.shops import until
from tests.container_host.stack import Stack
from tests.container_host.worlds import World, world_on

Image = Callable[..., Artifact]
BACK_SECONDS = 60.0
"""Longest time until what has died is left out, or back, in seconds: how quick that is, is no matter of a busy machine."""


@asynccontextmanager
async def kept(stack: Stack) -> AsyncIterator[None]:
    """What `release watch-host` does, with or without Airflow."""
    async with Keeper(stack.engine_url, stack.state_url) as keeper:
        task = asyncio.create_task(keeper.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def released(world: World) -> AsyncIterator[None]:
    """A release's heartbeat, as Airflow's triggerer runs it."""

    async def beat() -> None:
        while True:
            await world.platform.renew_lease(world.target, world.lease, 60)
            await asyncio.sleep(2)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def whole(world: World, **tracks: int) -> None:
    """Wait until so many replicas of each track are ready again."""
    async with asyncio.timeout(BACK_SECONDS):
        while True:
            observed = await world.platform.observe(world.target)
            if all(observed.track(track).ready == ready for track, ready in tracks.items()):  # type: ignore[arg-type]
                return
            await asyncio.sleep(0.1)


def main_processes(world: World, **labels: str) -> list[int]:
    """Pids of the replicas' main processes."""
    pids = []
    for container in world.containers(**labels):
        container.reload()
        pids.append(int(container.attrs["State"]["Pid"]))
    return [it for it in pids if it]


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


async def asked(world: World, seconds: float, enough: asyncio.Event | None = None) -> tuple[Counter[str], Counter[int]]:
    """Versions and statuses that new connections get for a while; the proxy itself always answers.

    :param enough: ends it earlier.
    """
    versions, statuses, end = Counter[str](), Counter[int](), time.monotonic() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        while time.monotonic() < end and not (enough and enough.is_set()):
            async with session.get(world.stack.web, headers={"Host": str(world.target.host)}) as response:
                statuses[response.status] += 1
                versions[response.headers.get("X-App-Version", "none")] += 1
            await asyncio.sleep(0.01)
    return versions, statuses


async def answered_by(world: World, status: int, seconds: float = 0.5) -> Counter[str]:
    """Wait until new connections get nothing but this status for a while; the versions that they get then."""
    async with asyncio.timeout(BACK_SECONDS):
        while True:
            versions, statuses = await asked(world, seconds)
            if set(statuses) == {status}:
                return versions


async def served_at_weight(world: World, image: Image, replicas: int = 2) -> None:
    """Stable 1.0.0 and, with a part of the requests, canary 1.1.0."""
    world.workload(replicas=replicas)
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    await world.deploy("canary", image("1.1.0"), replicas=replicas)
    await world.split(30)
    await world.serves("1.0.0", share=0.5)


async def addresses(world: World) -> set[str]:
    """Addresses of the app that the proxy is told of."""
    async with redis.Redis.from_url(world.stack.state_url, decode_responses=True) as store:
        pattern = f"traefik/http/services/{world.target.app}-production-*/loadbalancer/servers/*/url"
        return {await store.get(key) async for key in store.scan_iter(pattern, count=1000)}


@pytest.mark.parametrize("who", ["the keeper", "the release"])
async def test_a_killed_or_removed_replica_leaves_the_list_and_comes_back(
    world: World, image: Image, who: str
) -> None:  # R5
    await served_at_weight(world, image)
    async with kept(world.stack) if who == "the keeper" else released(world):
        before = await addresses(world)
        assert len(before) == 4
        await asyncio.to_thread(
            kill, main_processes(world, track="stable")[:1] + main_processes(world, track="canary")[:1]
        )
        await answered_by(world, 200)
        await whole(world, stable=2, canary=2)
        assert await addresses(world) == before  # they started where they stood
        await asyncio.to_thread(world.containers(track="stable")[0].remove, force=True)
        await asyncio.to_thread(world.containers(track="canary")[0].remove, force=True)
        versions = await answered_by(world, 200)
        assert set(versions) <= {"1.0.0", "1.1.0"}
        await whole(world, stable=2, canary=2)
        assert len(await addresses(world) - before) == 2  # nobody gets an address that somebody may still send to


async def test_with_no_replica_left_the_proxy_answers_503_and_all_come_back(world: World, image: Image) -> None:
    world.workload(replicas=2)
    await world.deploy("stable", image("1.0.0"))
    await world.split(0)
    await world.serves("1.0.0")
    await asyncio.to_thread(kill, main_processes(world))
    await answered_by(world, 503, 0.1)  # until its health check has missed both it answers 502
    versions, statuses = await asked(world, 0.3)
    assert (set(versions), set(statuses)) == ({"none"}, {503})
    async with kept(world.stack):
        await whole(world, stable=2)
    await world.serves("1.0.0")


@pytest.mark.parametrize("booted", [True, False], ids=["the machine started anew", "only the engine notices nothing"])
async def test_after_the_machine_all_apps_are_back_in_their_own_versions(
    stack: Stack, image: Image, booted: bool
) -> None:
    async with AsyncExitStack() as opened:
        first, second = [await opened.enter_async_context(world_on(stack)) for _ in range(2)]
        await served_at_weight(first, image)  # in a release
        second.workload(replicas=2)
        await second.deploy("stable", image("2.1.0", "errors"))
        await second.split(0)
        await second.serves("2.1.0")
        await second.platform.give_back_lease(second.target, second.lease)
        dying = main_processes(first) + main_processes(second)
        if stack.engine_folder:  # what would tell the engine dies first
            dying = [psutil.Process(pid).ppid() for pid in dying] + dying
        await asyncio.to_thread(kill, dying)
        await asyncio.to_thread(running.restart_engine, stack, booted=booted)
        back = asyncio.Event()
        watching = [asyncio.create_task(asked(world, 4 * BACK_SECONDS, back)) for world in (first, second)]
        async with kept(stack):
            await whole(first, stable=2, canary=2)
            await whole(second, stable=2)
            await asyncio.gather(
                *(it.serves(version, share=0.2) for it, version in ((first, "1.1.0"), (second, "2.1.0")))
            )
        back.set()
        versions = [set((await it)[0]) - {"none"} for it in watching]
        assert versions == [{"1.0.0", "1.1.0"}, {"2.1.0"}]


@contextmanager
def led_elsewhere(port: int) -> Iterator[None]:
    """A rule of the host's firewall, as containers leave one that died with their engine."""
    rule = ["OUTPUT", "--destination", "127.0.0.1", "--protocol", "tcp", "--dport", str(port)]
    rule += ["--jump", "DNAT", "--to-destination", f"127.0.0.1:{running.free_port()}"]
    subprocess.run(["iptables", "--wait", "--table", "nat", "--insert", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "--wait", "--table", "nat", "--delete", *rule], check=True)


async def test_a_new_replica_whose_port_leads_elsewhere_is_made_again_at_another_one(
    world: World, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:  # R7
    if world.stack.engine_folder is None:
        pytest.skip("Not run: the engine is given, and nobody says how it publishes ports.")
    taken, *others = some_ports()
    monkeypatch.setattr(workloads, "some_ports", lambda: [taken, *others])
    monkeypatch.setattr(host, "BEGIN_SECONDS", 3.0)
    with led_elsewhere(taken):
        status = await world.deploy("stable", image("1.0.0"))
        assert status.settled, status.failure
        [replica] = world.containers()
        assert not replica.labels["release-pipelines.address"].endswith(f":{taken}")
        await world.split(0)
        await world.serves("1.0.0")


async def test_replicas_of_an_earlier_version_of_this_package_are_kept_and_taken_over(
    world: World, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def earlier(*arguments: object) -> dict[str, object]:
        body = container_body(*arguments)  # type: ignore[arg-type]
        del body["Labels"]["release-pipelines.address"], body["HostConfig"]["RestartPolicy"]
        for [binding] in body["HostConfig"]["PortBindings"].values():
            binding["HostPort"] = ""
        return body

    world.workload(replicas=2)
    with monkeypatch.context() as patch:
        patch.setattr(workloads, "container_body", earlier)
        await world.deploy("stable", image("1.0.0"))
    async with redis.Redis.from_url(world.stack.state_url) as store:
        await store.hdel(f"release-pipelines/{world.target.app}/production", "engine", "router")
    await world.split(0)
    await world.serves("1.0.0")
    async with kept(world.stack):
        killed = main_processes(world)
        await asyncio.to_thread(kill, killed)

        async def ended() -> bool:
            return not any(map(psutil.pid_exists, killed))

        await until(ended)
        await whole(world, stable=2)
        await world.serves("1.0.0")
    async with ContainerHost(world.stack.engine_url, world.stack.state_url) as next_release:
        await next_release.deploy(world.target, "stable", image("1.1.0"), None, world.lease.fence)
    assert (await world.settle("stable")).settled
    assert all("release-pipelines.address" in it.labels for it in world.containers())
    assert len(world.containers()) == len(await addresses(world)) == 2


async def test_docker_stopped_with_its_containers_and_started_again(stack: Stack, image: Image) -> None:
    try:
        opened = docker_engine(stack)
        docker_stack, engine = await asyncio.to_thread(opened.__enter__)
    except NotToBeHad as error:
        pytest.skip(f"Not run: {error}")
    try:
        async with world_on(docker_stack) as world:
            await served_at_weight(world, image)
            before = await addresses(world)
            await asyncio.to_thread(engine.stop)
            await answered_by(world, 503, 0.3)
            await asyncio.to_thread(engine.start)
            await whole(world, stable=2)  # the engine itself starts what has worked on stable
            watching = asyncio.create_task(asked(world, 2))
            async with kept(docker_stack):
                await whole(world, stable=2, canary=2)
            versions, _ = await watching
            assert set(versions) <= {"1.0.0", "1.1.0", "none"}
            assert await addresses(world) == before
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
