"""Airflow connections → a platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseHook

from release_pipelines.airflow.loop import run

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from release_pipelines.core.model.target import Target
    from release_pipelines.core.ports.platform import Platform

T = TypeVar("T")


def registry_auth(connection: Connection) -> dict[str, str] | None:
    """Credentials of a registry connection, as engines and clusters want them; None for an open registry."""
    if not connection.login:
        return None
    return {"serveraddress": connection.host or "", "username": connection.login, "password": connection.password or ""}


def _build(target: Target, connection: Connection, registry: Connection) -> Platform:
    if target.platform == "container_host":
        from release_pipelines.adapters.platforms.container_host import ContainerHost

        extra = connection.extra_dejson
        return ContainerHost(
            engine_url=connection.host or "unix:///var/run/docker.sock",
            state_url=extra.get("state_url", "redis://127.0.0.1:6379/0"),
            registry_auth=registry_auth(registry),
        )
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook

    from release_pipelines.adapters.platforms.kubernetes import Kubernetes

    hook = AsyncKubernetesHook(conn_id=target.platform_connection)
    return Kubernetes(hook.get_conn, registry_auth=registry_auth(registry))


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
            self.get_connection(self.target.registry_connection),
        )

    async def aplatform(self) -> Platform:
        """The same for triggers."""
        return _build(
            self.target,
            await self.aget_connection(self.target.platform_connection),
            await self.aget_connection(self.target.registry_connection),
        )

    def call(self, work: Callable[[Platform], Awaitable[T]]) -> T:
        """Open the platform, await ``work`` with it on the process' background loop, close it, and return the result."""
        platform = self.platform()

        async def opened() -> Any:
            async with platform as ready:
                return await work(ready)

        return run(opened())  # type: ignore[no-any-return]
