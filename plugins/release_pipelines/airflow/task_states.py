"""States of the tasks of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context


def task_states(context: Context, task_ids: list[str]) -> dict[str, str | None]:
    """State of each task of this run; None where it has none yet."""
    ti: Any = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=task_ids, run_ids=[ti.run_id]).get(ti.run_id, {})
    return {task_id: states.get(task_id) for task_id in task_ids}
