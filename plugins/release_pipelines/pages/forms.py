"""What Airflow itself knows of a run that a page is about: its life, and the form that waits for an answer. Only the API server imports this."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select


@dataclass(frozen=True)
class Form:
    """A form that waits for an answer.

    :param task: the id of its task.
    :param people: words by which Airflow knows who may answer; empty: it lets everybody.
    """

    task: str
    people: tuple[str, ...] = ()


def life_of(dag_id: str, run_id: str) -> int | None:
    """How often a run was cleared as a whole; None where Airflow has no such run any more."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        query = select(DagRun.clear_number).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        return session.scalar(query)


def open_form(dag_id: str, run_id: str) -> Form | None:
    """The form of a run that waits for an answer; None where none does."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState

    waits = (TaskInstanceState.AWAITING_INPUT, TaskInstanceState.DEFERRED)
    query = (
        select(TaskInstance.task_id, HITLDetail.assignees)
        .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.state.in_(waits))
        .where(HITLDetail.responded_at.is_(None))
        .order_by(HITLDetail.created_at.desc())
        .limit(1)
    )
    with create_session() as session:
        found = session.execute(query).first()
    if found is None:
        return None
    return Form(found.task_id, tuple(str(it["id"]) for it in found.assignees or []))
