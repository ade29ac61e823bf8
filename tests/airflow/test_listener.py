"""The note of a run that has ended is written in the scheduler's transaction, and never harms it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, insert, select, text
from sqlalchemy.orm import Session

from release_pipelines.airflow import listener
from tests.databases import new_database

NOW = datetime(2026, 11, 26, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def airflow_database(postgres_server: str) -> str:
    """Airflow's own tables in PostgreSQL."""
    from airflow.models import import_all_models
    from airflow.models.base import Base

    url = new_database(postgres_server)
    import_all_models()
    Base.metadata.create_all(create_engine(url))
    return url


@pytest.fixture
def scheduler(airflow_database: str) -> Iterator[Session]:
    """A session in which only the scheduler may commit."""
    from airflow.utils.sqlalchemy import prohibit_commit

    engine = create_engine(airflow_database)
    with Session(engine) as session, prohibit_commit(session):
        yield session
        session.rollback()
    engine.dispose()


def ended_run(session: Session, sentence: Any, task: str = "outcome", operator: str = "RecordOutcomeOperator") -> Any:
    """A run whose last task said ``sentence``."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    run = DagRun(
        dag_id="release_shop",
        run_id="manual",
        run_type=DagRunType.MANUAL,
        run_after=NOW,
        logical_date=NOW,
        state=DagRunState.RUNNING,
    )
    session.add(run)
    session.flush()
    tables: Any = TaskInstance.__table__
    session.execute(
        insert(tables).values(
            id=uuid4(), task_id=task, dag_id="release_shop", run_id="manual", map_index=-1, max_tries=0, pool="p",
            pool_slots=1, priority_weight=1, queue="q", operator=operator, try_number=1,
        )
    )  # fmt: skip
    XComModel.set(key="reason", value=sentence, dag_id="release_shop", task_id=task, run_id="manual", session=session)
    return run


def note_of(session: Session) -> str | None:
    from airflow.models.dagrun import DagRunNote

    return session.scalar(select(DagRunNote.content))


def ended(run: Any, session: Session) -> None:
    """What the scheduler does with a run that has ended: its state and our note go in one transaction."""
    from airflow.utils.state import DagRunState

    run.set_state(DagRunState.FAILED)
    listener.on_dag_run_failed(run, "")
    session.flush()


@pytest.mark.parametrize("sentence", ["x" * 5000, "ä" * 5000, "Rolled back 2.0.0: " + "at core.Main.main | " * 100])
def test_a_sentence_of_any_length_leaves_the_scheduler_at_work(scheduler: Session, sentence: str) -> None:
    run = ended_run(scheduler, sentence)
    ended(run, scheduler)
    note = note_of(scheduler)
    assert note is not None
    assert len(note) <= 1000
    assert note.startswith(sentence[:900])
    assert note.endswith("…]")


def test_what_a_command_came_to_is_the_note_of_its_run(scheduler: Session) -> None:
    run = ended_run(
        scheduler, "shop: No release is running: there is nothing to pause.", "control", "AnsweringControlOperator"
    )
    ended(run, scheduler)
    assert note_of(scheduler) == "shop: No release is running: there is nothing to pause."


def test_a_note_is_written_over_the_one_of_an_earlier_end(scheduler: Session) -> None:
    run = ended_run(scheduler, "Released 2.0.0.")
    ended(run, scheduler)
    ended(run, scheduler)
    assert note_of(scheduler) == "Released 2.0.0."


def test_a_note_that_the_database_refuses_leaves_the_scheduler_at_work(
    scheduler: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "clean", lambda sentence, limit: sentence)
    run = ended_run(scheduler, "x" * 5000)
    ended(run, scheduler)
    assert note_of(scheduler) is None
    assert str(scheduler.scalar(text("SELECT state FROM dag_run"))) == "failed"
    assert "could not be written" in caplog.text
