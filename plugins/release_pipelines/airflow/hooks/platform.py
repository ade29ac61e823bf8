"""Airflow connections → a platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseHook

from release_pipelines.airflow.connections import values_of
from release_pipelines.airflow.hooks.registry import with_login
from release_pipelines.airflow.loop import run
from release_pipelines.core.ports.platform import PLATFORMS, Connections

if TYPE_CHECKING:
    from airflow.sdk import Connection as AirflowConnection

    from release_pipelines.core.model.connection import Connection
    from release_pipelines.core.model.target import Target
    from release_pipelines.core.ports.platform import Platform

T = TypeVar("T")


def _build(
    target: Target,
    connection: AirflowConnection,
    registry: Connection,
    reread_registry: Callable[[], Awaitable[Connection]] | None = None,
    client: Callable[[str], AbstractAsyncContextManager[Any]] | None = None,
) -> Platform:
    connections = Connections(
        platform=values_of(connection),
        registry=registry,
        kubernetes_client=lambda: (client or _kubernetes_client)(target.platform_connection),
        reread_registry=reread_registry,
    )
    return PLATFORMS.get(target.platform).open(target, connections)


def _kubernetes_client(connection_id: str) -> AbstractAsyncContextManager[Any]:
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook

    return AsyncKubernetesHook(conn_id=connection_id).get_conn()


class PlatformHook(BaseHook):
    """Where an app runs in one environment.

    :param target: the app in its environment; names the connections.
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def platform(self) -> Platform:
        """The platform, its Airflow connections resolved here, synchronously."""
        return _build(
            self.target,
            self.get_connection(self.target.platform_connection),
            with_login(self.get_connection(self.target.registry_connection)),
        )

    async def aplatform(self) -> Platform:
        """The same for triggers, which outlive a registry's password."""

        async def registry() -> Connection:
            connection = await self.aget_connection(self.target.registry_connection)
            return await asyncio.to_thread(with_login, connection)

        return _build(
            self.target,
            await self.aget_connection(self.target.platform_connection),
            await registry(),
            registry,
        )

    def call(self, work: Callable[[Platform], Awaitable[T]]) -> T:
        """Open the platform, await ``work`` with it on the process' background loop, close it, and return the result."""
        platform = self.platform()

        async def opened() -> Any:
            async with platform as ready:
                return await work(ready)

        return run(opened())  # type: ignore[no-any-return]


class SharedPlatforms(BaseHook):
    """The platforms of many targets, for one who only looks: each connection is read once, each cluster has one client.

    Nobody signs in at a registry: nothing is pulled.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, AirflowConnection] = {}
        self._clients: dict[str, Any] = {}
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()

    def platform(self, target: Target) -> Platform:
        """The platform of a target, its connections resolved here, synchronously.

        :raises AirflowNotFoundException: when there is no such connection.
        """
        registry = values_of(self._connection(target.registry_connection))
        return _build(target, self._connection(target.platform_connection), registry, client=self._client)

    def _connection(self, name: str) -> AirflowConnection:
        if name not in self._known:
            self._known[name] = self.get_connection(name)
        return self._known[name]

    @asynccontextmanager
    async def _client(self, connection: str) -> AsyncIterator[Any]:
        """Opened by whoever needs it first, closed by :meth:`aclose`."""
        async with self._opening:
            if connection not in self._clients:
                client = await self._open.enter_async_context(_kubernetes_client(connection))
                self._clients[connection] = client
        yield self._clients[connection]

    async def aclose(self) -> None:
        """Close what all of them share."""
        await self._open.aclose()
