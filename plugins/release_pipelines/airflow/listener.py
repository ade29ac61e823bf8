"""A run's note says what became of its release, so that Airflow's list of runs reads like a list of releases."""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl

OUTCOMES = ("RecordOutcomeOperator", "RecordRollbackOperator")
"""Operators whose task ends a run, with a sentence."""


def _note(dag_run: Any) -> None:
    from sqlalchemy.orm import object_session

    if not dag_run.dag_id.startswith("release_"):
        return
    session = object_session(dag_run)  # one of its own would close the scheduler's, and detach the run
    outcome = dag_run.get_task_instance("outcome", session=session) if session else None
    if outcome is None or outcome.operator not in OUTCOMES:
        return
    sentence = outcome.xcom_pull(task_ids="outcome", key="reason", session=session)
    if sentence:
        dag_run.note = sentence


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Called by the scheduler."""
    _note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Called by the scheduler."""
    _note(dag_run)
