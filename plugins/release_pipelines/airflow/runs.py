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
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

    try:
        answer = task_runner.SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=conf))
    except AirflowRuntimeError as error:
        status = (error.error.detail or {}).get("status_code")
        if status is not None and 400 <= int(status) < 500:
            raise AirflowFailException(
                f"Airflow starts no run of {dag_id} (status {status}): a DAG that Airflow knows, and that may be triggered, is expected."
            ) from error
        raise
    begun = not isinstance(answer, ErrorResponse)
    log.info("%s %s of %s.", "Started" if begun else "There is already", run_id, dag_id)
    return begun


async def state_of(dag_id: str, run_id: str) -> str | None:
    """Airflow's word for the state of a run, from a trigger; None where there is no such run."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def look() -> str | None:
        if not RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id]):
            return None
        return RuntimeTaskInstance.get_dagrun_state(dag_id=dag_id, run_id=run_id)

    return await asyncio.to_thread(look)
