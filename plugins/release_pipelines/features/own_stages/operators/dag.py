"""A run of another DAG as a stage."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow import runs
from release_pipelines.core.allowed import is_allowed
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.core.ports.own_stage import OwnStagePlace
from release_pipelines.features.own_stages.kinds.dag import DagOptions
from release_pipelines.features.own_stages.operators.base import OwnStageOperator
from release_pipelines.features.own_stages.triggers import DagStageTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class DagStageOperator(OwnStageOperator):
    """Start a run of another DAG and wait for its end, deferred. A try that died finds the run that it had started.

    ``options`` is a :class:`~release_pipelines.features.own_stages.kinds.dag.DagOptions` or its dict. Hands on ``run_id``, ``state`` and,
    with ``result``, what that task returned. The other arguments, and what is returned:
    :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`. A run that takes too long, or whose release is
    aborted, is left running: nobody but its own DAG knows how to end it.

    :param place: what the environment allows; a DAG that it does not is not started. None: any is.

    Templated: ``artifact``, ``version``, ``release``, ``earlier``, ``lease``, ``deployment``.
    XCom: return value, also as ``result`` where it fails; ``verdict`` when the version turns bad meanwhile, ``aborted`` when a person
    ends the release; ``reason`` when it fails.
    """

    typed = True

    def __init__(self, *, place: OwnStagePlace | None = None, **kwargs: Any) -> None:
        super().__init__(place=place, **kwargs)

    def run(self, context: Context, options: dict[str, Any], seconds: float) -> OwnStageResult:
        wanted = DagOptions.model_validate(options)
        if self.place is not None and not is_allowed(wanted.dag_id, self.place.dags_allowed):
            raise ReleaseError(f"{wanted.dag_id} is not what `dags_allowed` in {self.place.environment}.yaml allows.")
        run_id = self._started(context, wanted)
        self.defer(
            trigger=DagStageTrigger(
                release=self.release,
                until=time.time() + seconds,
                target=to_json(self.app_target()) if self.target is not None else None,
                dag_id=wanted.dag_id,
                run_id=run_id,
                **self.judging(),
            ),
            method_name="ended",
        )
        raise AssertionError  # it is deferred

    def _started(self, context: Context, wanted: DagOptions) -> str:
        """The id of the run that this try waits for: a new one, or one that goes on, or has gone well, after an earlier try has died."""
        run: Any = context["dag_run"]
        ti: Any = context["ti"]
        for number in range(1, self.tries_again + 2):
            tail = f".{number}" if number > 1 else ""
            cleared = f".again{run.clear_number}" if run.clear_number else ""
            run_id = f"{run.dag_id}.{run.run_id}{cleared}.{ti.task_id}{tail}"
            if runs.start_run(wanted.dag_id, run_id, wanted.conf):
                return run_id
            if number > self.tries_again or asyncio.run(runs.state_of(wanted.dag_id, run_id)) != "failed":
                return run_id
        raise AirflowFailException("All tries were used.")

    def result_of(self, context: Context, event: dict[str, Any]) -> OwnStageResult:
        result = super().result_of(context, event)
        wanted = DagOptions.model_validate(self.filled_options())
        if not (result.succeeded and wanted.result):
            return result
        ti: Any = context["ti"]
        returned = ti.xcom_pull(dag_id=wanted.dag_id, task_ids=wanted.result, run_id=result.values["run_id"])
        return result.model_copy(update={"values": {**result.values, "result": returned}})
