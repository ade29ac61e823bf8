"""A real engine, registry, store and proxy, once for all tests; an app of its own for each."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from release_pipelines.domain.values import Artifact, Lease, RouteNote, Target, TrackStatus, Traffic, share_with
from release_pipelines.platforms.container_host import ContainerHost
from release_pipelines.spec.models import RouterSpec, WorkloadSpec
from tests.container_host import shops, side_by_side
from tests.container_host import stack as running
from tests.container_host.shops import NUMBERS, PREFIX, Recorded, Shop
from tests.container_host.stack import Stack

APP = Path(__file__).with_name("app")


def why_not() -> str | None:
    """Why the tests cannot run here, or None."""
    engine = () if os.environ.get("RELEASE_TEST_ENGINE") else ("podman", "docker-registry")
    missing = [name for name in (*engine, "prometheus") if not shutil.which(name)]
    return f"the container host's tests need {' and '.join(missing)} (or RELEASE_TEST_ENGINE)" if missing else None


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    stack = Stack(tmp_path_factory.mktemp("container_host"))
    try:
        given = os.environ.get("RELEASE_TEST_ENGINE")
        if given:
            stack.engine_url = given
            stack.registry = os.environ.get("RELEASE_TEST_REGISTRY", "127.0.0.1:5000")
        else:
            running.start_registry(stack)
            running.start_engine(stack)
        stack.base_image = os.environ.get("RELEASE_TEST_BASE_IMAGE") or base_image(stack)
        running.start_store(stack)
        running.start_proxy(stack)
        running.start_metrics(stack)
        yield stack
        remove_containers(stack)
    finally:
        stack.stop()
        running.stop_engine(stack)


def base_image(stack: Stack) -> str:
    """An image with Python, the one of the sandbox."""
    from include.sandbox.engine import base_image as made

    return str(made(stack.engine_url))


def remove_containers(stack: Stack) -> None:
    """Remove all that a failed test may have left."""
    import docker

    client = docker.DockerClient(base_url=stack.engine_url)
    for container in client.containers.list(all=True, filters={"label": "release-pipelines.app"}):
        if container.labels["release-pipelines.app"].startswith(PREFIX):
            container.remove(force=True)


@pytest.fixture(scope="session")
def image(stack: Stack) -> Callable[..., Artifact]:
    """``image("1.0.0", mode="crash")``: builds and pushes an image once, and returns it as an artifact."""
    import docker

    client = docker.DockerClient(base_url=stack.engine_url, timeout=300)
    built: dict[tuple[str, str], Artifact] = {}

    def make(version: str, mode: str = "good") -> Artifact:
        if (version, mode) not in built:
            repository = f"{stack.registry}/shop"
            args = {"BASE": stack.base_image, "VERSION": version, "MODE": mode}
            stage = mode if mode == "no-command" else "good"
            # Podman would take the layers of another version from its cache.
            client.images.build(
                path=str(APP), tag=f"{repository}:{version}", buildargs=args, target=stage, rm=True, nocache=True
            )
            digest = ""
            for line in client.images.push(repository, tag=version, stream=True, decode=True):
                assert "error" not in line, line
                digest = (line.get("aux") or {}).get("Digest") or digest
                if "digest: sha256:" in line.get("status", ""):
                    digest = line["status"].split("digest: ")[1].split()[0]
            built[version, mode] = Artifact(app="shop", version=version, image=repository, digest=digest)
        return built[version, mode]

    return make


@dataclass
class Load:
    """What came back of a stream of requests."""

    versions: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)


@dataclass
class World:
    """One app of its own on the shared stack."""

    stack: Stack
    target: Target
    platform: ContainerHost
    lease: Lease

    def workload(self, **changes: Any) -> None:
        """Change the app's workload."""
        workload = self.target.workload.model_copy(update=changes)
        self.target = self.target.model_copy(update={"workload": workload})

    async def settle(self, track: Any, within: float = 30) -> TrackStatus:
        """Advance until settled or failed."""
        async with asyncio.timeout(within):
            while True:
                status = await self.platform.advance(self.target, track, self.lease.fence)
                if status.settled or status.failure:
                    return status
                await asyncio.sleep(0.2)

    async def deploy(self, track: Any, artifact: Artifact, replicas: int | None = None) -> TrackStatus:
        """Deploy and settle."""
        await self.platform.deploy(self.target, track, artifact, replicas, self.lease.fence)
        return await self.settle(track)

    async def split(self, weight: int, **note: Any) -> bool:
        """Give the canary so much."""
        return await self.route(share_with("canary", weight), **note)

    async def route(self, traffic: Traffic, **note: Any) -> bool:
        """State who gets which requests."""
        return await self.platform.split(self.target, traffic, RouteNote(traffic=traffic, **note), self.lease.fence)

    async def ask(self, load: Load, session: aiohttp.ClientSession) -> None:
        """One request, counted."""
        try:
            async with session.get(self.stack.web, headers={"Host": str(self.target.host)}) as response:
                version = response.headers.get("X-App-Version")
                await response.read()
                if version is None:
                    load.lost.append(f"status {response.status} without a version")
                else:
                    load.versions[version] += 1
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            load.lost.append(repr(error))

    @asynccontextmanager
    async def traffic(self, clients: int = 4) -> AsyncIterator[Load]:
        """Clients that ask without pause as long as the block runs."""
        load, over = Load(), asyncio.Event()

        async def client(session: aiohttp.ClientSession) -> None:
            while not over.is_set():
                await self.ask(load, session)
                await asyncio.sleep(0.005)

        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            running_clients = [asyncio.create_task(client(session)) for _ in range(clients)]
            try:
                yield load
            finally:
                over.set()
                await asyncio.gather(*running_clients)

    async def serves(self, version: str, share: float = 1.0) -> None:
        """Wait until the proxy answers with ``version``."""
        async with aiohttp.ClientSession() as session, asyncio.timeout(10):
            while True:
                load = Load()
                for _ in range(10):
                    await self.ask(load, session)
                if load.versions[version] >= 10 * share:
                    return
                await asyncio.sleep(0.05)

    def containers(self, **filters: Any) -> list[Any]:
        """The app's containers as the engine has them."""
        import docker

        labels = [
            f"release-pipelines.app={self.target.app}",
            *(f"release-pipelines.{k}={v}" for k, v in filters.items()),
        ]
        return list(
            docker.DockerClient(base_url=self.stack.engine_url).containers.list(all=True, filters={"label": labels})
        )


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    app = f"{PREFIX}{next(NUMBERS)}"
    host = f"{app}.localhost"
    target = Target(
        app=app,
        environment="production",
        platform="container_host",
        platform_connection="host",
        registry_connection="registry",
        prometheus_connection="metrics",
        workload=WorkloadSpec(name=app, replicas=1, ready_timeout=20),
        router=RouterSpec(kind="traefik", route=app),
        url=stack.web,
        host=host,
        preview_host=f"preview.{host}",
    )
    async with ContainerHost(stack.engine_url, stack.state_url) as platform:
        lease = await platform.take_lease(target, "release_shop/run_1#0", 60)
        world = World(stack, target, platform, lease)
        yield world
    for container in world.containers():
        container.remove(force=True)


@pytest.fixture(scope="session")
def scenarios(
    request: pytest.FixtureRequest,
    stack: Stack,
    image: Callable[..., Artifact],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, BaseException | None]]:
    """What every selected scenario came to: none, or the error that it ended with."""
    from release_pipelines.operators import telling
    from release_pipelines.platforms import container_host

    folder, acts = tmp_path_factory.mktemp("shops"), side_by_side.selected(request.session)
    with ThreadPoolExecutor(2) as builders:
        wanted = [(shops.OLD, "good"), (shops.NEW, "good"), *shops.FAULTS.items()]
        list(builders.map(lambda it: image(*it), wanted))
    with pytest.MonkeyPatch.context() as patch:
        for name, connection in shops.connections(stack, folder).items():
            patch.setenv(name, connection)
        patch.setenv("RELEASE_PIPELINES_STATE", str(folder / "state"))
        patch.setattr(container_host, "ContainerHost", Recorded)
        # Every task is a process to Airflow; here they are threads, which must not draw at the same time.
        patch.setattr(telling, "_draw", lambda *_: None)

        @asynccontextmanager
        async def shop() -> AsyncIterator[Shop]:
            it = Shop(stack, folder, image)
            async with it.platform:
                try:
                    async with it.visitors.there():
                        yield it
                finally:
                    for container in await it.containers():
                        await asyncio.to_thread(container.remove, force=True)

        yield asyncio.run(run_all(acts, shop))


async def run_all(acts: dict[str, Any], shop: Callable[[], Any]) -> dict[str, BaseException | None]:
    """All scenarios, with enough threads for their operators."""
    from release_pipelines.hooks.prometheus import PrometheusReader

    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(32))
    try:
        return await side_by_side.together(acts, shop)
    finally:
        sessions = [it for of, it in PrometheusReader._sessions.items() if of is loop]
        for session in sessions:
            await session.close()
