"""Runs of other DAGs: started once, and looked after. A task cannot read Airflow's database, so it asks through its supervisor."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError

log = logging.getLogger(__name__)

ENDED = ("success", "failed")
"""States of runs that have ended."""


def start_run(dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
    """Start a run of a DAG, with this id once and for all.

    :return: whether it was started now; False: there is one of this id already.
    :raises AirflowFailException: where there is no such DAG.
    """
    from airflow.sdk.api.client import ServerResponseError
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

    try:
        answer = task_runner.SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=conf))
    except (AirflowRuntimeError, ServerResponseError) as error:  # the second one where the supervisor is this process
        status = _status(error)
        if not 400 <= status < 500:
            raise
        raise AirflowFailException(
            f"Airflow starts no run of {dag_id} (status {status}): a DAG that Airflow knows, and that may be triggered, is expected."
        ) from error
    begun = not isinstance(answer, ErrorResponse)
    log.info("%s %s of %s.", "Started" if begun else "There is already", run_id, dag_id)
    return begun


def _status(error: Any) -> int:
    """The status with which the API server has answered; 0: it has not."""
    if isinstance(error, AirflowRuntimeError):
        return int((error.error.detail or {}).get("status_code") or 0)
    return int(error.response.status_code)


async def state_of(dag_id: str, run_id: str) -> str | None:
    """Airflow's word for the state of a run, from a trigger; None where there is no such run."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def look() -> str | None:
        if not RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id]):
            return None
        return RuntimeTaskInstance.get_dagrun_state(dag_id=dag_id, run_id=run_id)

    return await asyncio.to_thread(look)
