"""What ends a task that was refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TriggerEvent


class RefusedTrigger(BaseTrigger):
    """Fails its task at once, without an exception."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, for Airflow."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        yield TaskFailedEvent()
