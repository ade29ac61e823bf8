"""A Job of Kubernetes that builds: by BuildKit, rootless where it may, or by kaniko."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from pydantic import ValidationError

from release_pipelines.adapters.kubernetes.client import JOBS, PODS, Client, Conflict
from release_pipelines.adapters.remote_builders._job import BUILD, Settings, job, standing
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.model.source import without_login
from release_pipelines.core.ports.remote_builder import Clients, Order, RemoteBuilder, Standing

TAIL_LINES = 12


class KubernetesJob:
    """Builds as Jobs of one namespace."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.client = client
        self.settings = settings

    async def start(self, order: Order) -> str:
        """Create the Job. One of that name is the same build: it was created by a try that did not hear of it."""
        body = job(order, self.settings)
        name = str(body["metadata"]["name"])
        with suppress(Conflict):
            await self.client.create(JOBS, self.settings.namespace, body)
        return f"{name}/{'push' if order.tag else 'test'}"

    async def look(self, build: str) -> Standing:
        """How far the Job is: see :func:`~release_pipelines.adapters.remote_builders._job.standing`."""
        name, _, kind = build.partition("/")
        found = await self.client.get(JOBS, self.settings.namespace, name)
        if found is None:
            raise PlatformError(
                f"The Job {name} in {self.settings.namespace} is gone: whether it succeeded is not known."
            )
        pods = await self.client.find(PODS, self.settings.namespace, f"job-name={name}")
        try:
            return standing(found, pods, kind == "push")
        except PlatformError as error:
            raise PlatformError(f"{error}{await self._log(pods)}") from None

    async def stop(self, build: str) -> None:
        """Delete the Job with its pods."""
        await self.client.delete(JOBS, self.settings.namespace, build.partition("/")[0])

    async def _log(self, pods: list[dict[str, Any]]) -> str:
        """The end of the log of the pod that was created last."""
        if not pods:
            return ""
        last = max(pods, key=lambda it: str(it["metadata"].get("creationTimestamp")))
        text = await self.client.log(self.settings.namespace, last["metadata"]["name"], BUILD, TAIL_LINES)
        return f" The last lines of its log:\n{text.strip()}" if text.strip() else ""


class KubernetesJobKind:
    """Builds by Jobs."""

    connection_type = "kubernetes"

    def misfit(self, settings: Mapping[str, Any]) -> str | None:
        """What is expected in place of these settings."""
        try:
            Settings.model_validate(dict(settings))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)[0]
            return (
                "`image`, with what builds, and perhaps `tool`, `namespace`, `registry_secret`, `git_secret`, `service_account`, `retries`, "
                f"`rootless` and `resources` ({'.'.join(map(str, found['loc']))}: {found['msg']})"
            )
        return None

    def cannot(self, order: Order, settings: Mapping[str, Any]) -> str | None:
        """kaniko builds for one platform, and attests nothing; a Job reads no folder of a worker."""
        if "://" not in order.repository and not order.repository.startswith("git@"):
            return f"A Job fetches the repository itself: an address is expected, found the folder {order.repository}."
        given = Settings.model_validate(dict(settings))
        if given.tool == "kaniko" and not order.repository.startswith(("https://", "http://")):
            return f"kaniko fetches by https: such an address is expected, found {without_login(order.repository)}."
        asked = [it for it in order.publication.shown() if it in ("`build.platforms`", "`build.provenance`")]
        if given.tool == "kaniko" and asked:
            return f"{' and '.join(asked)} cannot be asked of kaniko: a Job with BuildKit (`tool: buildkit`) can."
        return None

    @asynccontextmanager
    async def open(
        self, connection: Connection, clients: Clients, settings: Mapping[str, Any]
    ) -> AsyncIterator[RemoteBuilder]:
        """Builds in the cluster of a connection of type ``kubernetes``."""
        async with clients.kubernetes() as api:
            yield KubernetesJob(Client(api), Settings.model_validate(dict(settings)))


REMOTE_BUILDER = KubernetesJobKind()
