"""A run's note says what became of its release, so that Airflow's list of runs reads like a list of releases.

It is written in the scheduler's own transaction, for every DAG that it schedules: what fails here is undone and logged.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.listeners import hookimpl

from release_pipelines.core.text import clean

log = logging.getLogger(__name__)

OUTCOMES = {
    "outcome": ("RecordOutcomeOperator", "RecordRollbackOperator", "RecordTrainOperator"),
    "control": ("AnsweringControlOperator",),
}
"""Tasks that end a run with a sentence, and their operators."""


def _note(dag_run: Any) -> None:
    from sqlalchemy.orm import object_session

    if not dag_run.dag_id.startswith(("release_", "train_")):
        return
    session = object_session(dag_run)  # one of its own would close the scheduler's, and detach the run
    if session is None:
        return
    try:
        # Not session.begin_nested(): the scheduler forbids every commit in its session, and that of a savepoint is one.
        # What is flushed on the way is the scheduler's own, and stays outside.
        session.flush()
        with session.no_autoflush, session.connection().begin_nested():
            for task, operators in OUTCOMES.items():
                ended = dag_run.get_task_instance(task, session=session)
                if ended is None or ended.operator not in operators:
                    continue
                sentence = ended.xcom_pull(task_ids=task, key="reason", session=session)
                if sentence:
                    _write(session.connection(), dag_run.id, sentence)
                return
    except Exception:
        log.warning("The note of %s %s could not be written.", dag_run.dag_id, dag_run.run_id, exc_info=True)


def _write(connection: Any, run: int, sentence: str) -> None:
    """Write the note beside the ORM: a flush that fails would end the scheduler's transaction."""
    from airflow.models.dagrun import DagRunNote
    from sqlalchemy import insert, update

    notes: Any = DagRunNote.__table__
    content = clean(sentence, notes.c.content.type.length or 1000)
    if not connection.execute(update(notes).where(notes.c.dag_run_id == run).values(content=content)).rowcount:
        connection.execute(insert(notes).values(dag_run_id=run, content=content))


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Called by the scheduler."""
    _note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Called by the scheduler."""
    _note(dag_run)
