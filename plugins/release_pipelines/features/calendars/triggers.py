"""Wait in the triggerer until calendars are open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

LOOK_EVERY = 15.0
"""So often calendars are read again, in seconds: a freeze that is put in while somebody waits counts."""


class ReleaseWindowTrigger(BaseTrigger):
    """Fire when all calendars are open. Looks again after every sleep: nothing is open before its exact second.

    :param calendars: names of calendars.
    :param app: the app that entries may be limited to; empty for none.
    :param environment: the environment, likewise.
    :param tags: the app's tags.
    """

    def __init__(
        self, calendars: Sequence[str], app: str = "", environment: str = "", tags: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.calendars, self.app, self.environment, self.tags = list(calendars), app, environment, list(tags)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        arguments = {
            "calendars": self.calendars,
            "app": self.app,
            "environment": self.environment,
            "tags": self.tags,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: the standing with which it went on."""
        from release_pipelines.airflow.calendars import standing_now

        told = ""
        while True:
            now = await asyncio.to_thread(standing_now, self.calendars, self.app, self.environment, self.tags)
            if now.open:
                yield TriggerEvent(now.model_dump(mode="json"))
                return
            if now.sentence != told:
                self.log.info("%s", now.sentence)
                told = now.sentence
            left = LOOK_EVERY if now.opens_at is None else now.opens_at - time.time()
            await asyncio.sleep(min(max(left, 0.01), LOOK_EVERY))
