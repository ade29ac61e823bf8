"""Branches: where a release goes on, and where a failure is sent (see docs/architecture.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.branch import BaseBranchOperator
from airflow.sdk import TriggerRule

from release_pipelines.airflow.task_states import task_states
from release_pipelines.core.model.task_state import touched

if TYPE_CHECKING:
    from airflow.sdk import Context


SAME_IMAGES = "same_images"
"""Id of the task to which a release goes whose images serve already: it ends with nothing to do."""

SERVES = "serves"
"""XCom key of the sentence that what is released serves already."""


class GateOperator(BaseBranchOperator):
    """Go on when all watched tasks succeeded; roll back when one did not and something may have been changed.

    :param watched: ids of the tasks that must have succeeded.
    :param touches: id of the first task that changes something.
    :param go_on: id of the next task.
    :param roll_back: ids of the first tasks of the ways back; empty: nothing has been changed so far.
    :param stop_at: name of the environment that ends here; a run whose parameter ``stop_at`` names it goes to ``stop``.
    :param stop: id of the task that ends a run that was to stop here.
    """

    def __init__(
        self,
        *,
        watched: list[str],
        touches: str,
        go_on: str,
        roll_back: list[str],
        stop_at: str | None = None,
        stop: str | None = None,
        **kwargs: Any,
    ) -> None:
        # none_skipped: also runs after failures (to roll back), but not where an earlier gate sent the run elsewhere
        super().__init__(**{"trigger_rule": TriggerRule.NONE_SKIPPED, "retries": 2, **kwargs})
        self.watched = watched
        self.touches = touches
        self.go_on = go_on
        self.roll_back = roll_back
        self.stop_at = stop_at
        self.stop = stop

    def choose_branch(self, context: Context) -> str | list[str] | None:
        """The next task's id, or those of the reverts and the rollback."""
        states = task_states(context, [*self.watched, self.touches])
        bad = [task_id for task_id in self.watched if states[task_id] != "success"]
        if not bad:
            params: Any = context["params"]
            if self.stop and self.stop_at and params.get("stop_at") == self.stop_at:
                return self.stop
            return self.go_on
        self.log.info("Not passed: %s.", ", ".join(f"{task_id} is {states[task_id]}" for task_id in bad))
        return self.roll_back or None if touched(states[self.touches]) else None


class PreflightGateOperator(BaseBranchOperator):
    """Choose between building, releasing a recorded digest, and nothing to do.

    :param preflight: id of the preflight task.
    :param build: id of the first task of the build.
    :param recorded: id of the task that takes the recorded digest.
    :param no_op: id of the task that ends a run with nothing to do.
    """

    def __init__(self, *, preflight: str, build: str, recorded: str, no_op: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.preflight = preflight
        self.build = build
        self.recorded = recorded
        self.no_op = no_op

    def choose_branch(self, context: Context) -> str:
        """The next task's id."""
        ti: Any = context["ti"]
        preflight = ti.xcom_pull(task_ids=self.preflight)
        if preflight["no_op"]:
            return self.no_op
        return self.recorded if preflight["known"] else self.build
