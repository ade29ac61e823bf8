"""What the tests of operators share."""

from __future__ import annotations

from typing import Any

from tests.fakes import World


class Ti:
    """A task instance that keeps what is pushed."""

    task_id = "task"
    id = "00000000-0000-0000-0000-000000000000"
    try_number = 1

    def __init__(self, task_id: str = "task") -> None:
        self.task_id = task_id
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.pushed.get(key)


def on_stable(world: World) -> bool:
    """Whether stable has all traffic."""
    return world.route is not None and world.route.traffic.weight("stable") == 100
