"""Wait in the triggerer until a builder elsewhere has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

LOOK_EVERY = 5.0
"""So often a build is looked at, in seconds."""
REFUSED_SECONDS = 20.0
"""So long credentials that are not accepted are read anew: those that are exchanged need a moment."""


class RemoteBuildTrigger(BaseTrigger):
    """Fire when a build has ended. A builder that does not answer is asked again; a restart goes on looking.

    :param kind: of the builder, like ``codebuild``.
    :param builder_conn_id: the Airflow connection that leads there.
    :param settings: what this kind has to know.
    :param build: what the build is called there.
    :param until: Unix time in seconds at which it is stopped.

    Event: ``{"digest"}``, which is None where nothing was to be pushed, or ``{"error": sentence, "kind": name of the error}``.
    """

    def __init__(
        self, *, kind: str, builder_conn_id: str, settings: dict[str, Any], build: str, until: float, **more: Any
    ) -> None:
        super().__init__()
        self.arguments = {
            "kind": kind, "builder_conn_id": builder_conn_id, "settings": settings, "build": build, "until": until, **more,
        }  # fmt: skip

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: how the build ended."""
        from release_pipelines.airflow.triggers import error_event
        from release_pipelines.core.errors import PlatformError
        from release_pipelines.core.text import storable

        try:
            event: dict[str, Any] = {"digest": await self._ended()}
        except PlatformError as error:
            event = error_event(error)
        yield TriggerEvent(storable(event))

    async def _ended(self) -> str | None:
        """The digest that the build pushed."""
        from release_pipelines.airflow.hooks.remote_builder import RemoteBuilderHook
        from release_pipelines.core.errors import CredentialsRefused, PlatformUnavailable

        given = self.arguments
        hook = RemoteBuilderHook(given["kind"], given["builder_conn_id"], given["settings"])
        refused_since: float | None = None
        while True:
            try:
                async with hook.abuilder() as builder:  # anew each time: a build may outlast its credentials
                    digest, ended = await self._look(builder)
                refused_since = None
                if ended:
                    return digest
            except PlatformUnavailable as error:
                self.log.warning("%s Asking again.", error)
            except CredentialsRefused as error:
                refused_since = refused_since or time.monotonic()
                if time.monotonic() - refused_since > REFUSED_SECONDS:
                    raise
                self.log.warning("%s Reading the connection anew.", error)
            await asyncio.sleep(LOOK_EVERY)

    _told = ""

    async def _look(self, builder: Any) -> tuple[str | None, bool]:
        from release_pipelines.core.errors import PlatformError

        now = await builder.look(self.arguments["build"])
        if now.sentence != self._told:
            self.log.info("%s.", now.sentence)
            self._told = now.sentence
        if not now.ended and time.time() > self.arguments["until"]:
            await builder.stop(self.arguments["build"])
            raise PlatformError(
                f"{now.sentence}, and took longer than it may: it was stopped; give it more time with `build.timeout`."
            )
        return now.digest, now.ended
