"""One cluster, as every part of the platform needs it: a client, the lease that guards each write, and retries."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from release_pipelines.adapters.kubernetes.client import SECRETS, Client, Conflict
from release_pipelines.adapters.platforms.kubernetes import manifests, ownership
from release_pipelines.core.errors import PlatformUnavailable
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import RegistryAuth
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

C = TypeVar("C", bound="Cluster")
T = TypeVar("T")

CONFLICT_SECONDS = 20.0
"""So long a write is tried on fresh state while others keep changing the object: each try wins by chance."""


UNDER_WAY_SECONDS = 60.0
"""So long a connection stays open after there is a newer one; longer than any request takes."""


class Cluster:
    """A cluster that is entered with a client of its own.

    :param get_conn: opens an API client, like ``AsyncKubernetesHook.get_conn``.
    :param registry_auth: ``serveraddress``, ``username`` and ``password`` that pods need to pull; None: nothing is needed.
    :param auth_now: the same as they are now; None: there are no others.
    """

    def __init__(
        self,
        get_conn: Callable[[], AbstractAsyncContextManager[ApiClient]],
        registry_auth: dict[str, str] | None = None,
        auth_now: RegistryAuth | None = None,
    ) -> None:
        self.get_conn = get_conn
        self.registry_auth = registry_auth
        self._auth_now = auth_now
        self.client: Client
        self._connections: list[tuple[float, AsyncExitStack]] = []

    async def __aenter__(self: C) -> C:
        self.client = Client(await self._connected(), self._connected)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._connections:
            await self._connections.pop()[1].aclose()

    async def _connected(self) -> ApiClient:
        """A connection with the credentials of this moment. The one before it stays open for what is under way there."""
        from kubernetes_asyncio.config import ConfigException

        stack, now = AsyncExitStack(), time.monotonic()
        try:
            api = await stack.enter_async_context(self.get_conn())
        except (ConfigException, OSError, ValueError) as error:  # a plugin that fails, a file that is being exchanged
            raise PlatformUnavailable(
                f"The credentials of the cluster cannot be read: {one_line(error, 300)}."
            ) from error
        self._connections.append((now, stack))
        while len(self._connections) > 1 and self._connections[1][0] < now - UNDER_WAY_SECONDS:
            await self._connections.pop(0)[1].aclose()
        return api

    async def _retried(self, target: Target, attempt: Callable[[], Awaitable[T]]) -> T:
        """R14: a conflict is tried again on fresh state; each attempt reads and checks the fence again."""
        end = time.monotonic() + CONFLICT_SECONDS
        while True:
            try:
                return await attempt()
            except Conflict as error:
                if time.monotonic() > end:
                    raise PlatformUnavailable(
                        f"{target.app} in {target.environment} keeps being changed by somebody else: {error}."
                    ) from error
                await asyncio.sleep(random.uniform(0, 0.05))

    async def _state_secret(self, target: Target) -> None:
        if self.registry_auth is None:
            return
        if self._auth_now is not None:  # a watch lasts for hours, and some passwords do not
            self.registry_auth = await self._auth_now() or self.registry_auth
        body = manifests.registry_secret(self.registry_auth)
        secret = await self.client.get(SECRETS, target.namespace, manifests.REGISTRY_SECRET)
        if secret is None:
            await self.client.create(SECRETS, target.namespace, body)
        elif secret.get("data") != body["data"]:
            if not ownership.is_registry_secret(secret):
                ownership.refuse(target, [f"Secret {manifests.REGISTRY_SECRET}"])
            version = secret["metadata"]["resourceVersion"]
            change = {"metadata": {"labels": manifests.MANAGED, "resourceVersion": version}, "data": body["data"]}
            await self.client.patch(SECRETS, target.namespace, manifests.REGISTRY_SECRET, change)
