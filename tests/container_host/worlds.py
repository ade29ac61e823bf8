"""Apps of their own that are driven by the platform alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from release_pipelines.adapters.platforms.container_host.platform import ContainerHost
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import RouterSettings, Target, Workload
from release_pipelines.core.model.traffic import Traffic, share_with
from tests.container_host.shops import NUMBERS, PREFIX, forgotten
from tests.container_host.stack import Stack


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

    async def settle(self, track: Any, within: float = 120) -> TrackStatus:
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
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
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


@asynccontextmanager
async def world_on(stack: Stack) -> AsyncIterator[World]:
    """An app of its own, whose lease is held."""
    app = f"{PREFIX}{next(NUMBERS)}"
    host = f"{app}.localhost"
    target = Target(
        app=app,
        environment="production",
        platform="container_host",
        platform_connection="host",
        registry_connection="registry",
        prometheus_connection="metrics",
        workload=Workload(name=app, replicas=1, ready_timeout=60),
        router=RouterSettings(kind="traefik", route=app),
        url=stack.web,
        host=host,
        preview_host=f"preview.{host}",
    )
    async with ContainerHost(stack.engine_url, stack.state_url) as platform:
        lease = await platform.take_lease(target, "release_shop/run_1#0", 60)
        world = World(stack, target, platform, lease)
        try:
            yield world
        finally:
            for container in world.containers():
                await asyncio.to_thread(container.remove, force=True)
            await forgotten(stack, app)
