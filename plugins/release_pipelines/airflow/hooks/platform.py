"""Airflow connections → a platform."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
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
) -> Platform:
    connections = Connections(
        platform=values_of(connection),
        registry=registry,
        kubernetes_client=lambda: _kubernetes_client(target.platform_connection),
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
