"""Operators of a team's own, which stages of an app run by their import paths."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowSkipException, DownstreamTasksSkipped
from airflow.triggers.base import BaseTrigger, TriggerEvent

CALLS: list[Any] = []
"""What was done, in order."""


class PurgeOperator(BaseOperator):
    """Notes what it is given, fails ``fails`` times, and returns how much was purged."""

    def __init__(self, *, zone: str, count: Any = None, fails: int = 0, skips: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.zone, self.count, self.fails, self.skips = zone, count, fails, skips

    def execute(self, context: Any) -> dict[str, Any]:
        CALLS.append((self.zone, self.count))
        if self.skips:
            raise AirflowSkipException("nothing to purge")
        if len(CALLS) <= self.fails:
            raise AirflowException(f"The zone {self.zone} is locked.")
        return {"purged": 3, "zone": self.zone}


class SteeringOperator(BaseOperator):
    """Wants others to be skipped."""

    def execute(self, context: Any) -> None:
        raise DownstreamTasksSkipped(tasks=["production.gate"])


class At(BaseTrigger):
    """An event at once."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.At", {}

    async def run(self) -> Any:
        yield TriggerEvent({"seen": 7})


class WaitingOperator(BaseOperator):
    """Defers itself, as waiting operators do."""

    def execute(self, context: Any) -> None:
        self.defer(trigger=At(), method_name="seen")

    def seen(self, context: Any, event: dict[str, Any]) -> int:
        return int(event["seen"])


def no_operator() -> None:
    """Is none."""
