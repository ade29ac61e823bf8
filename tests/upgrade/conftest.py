"""A release of version 0.1 that goes on with the code of today."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import DAG
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.api.datamodels._generated import TaskInstance as TaskInstanceOfTheSdk
from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor
from airflow.sdk.serde import deserialize, serialize
from airflow.triggers.base import TriggerEvent
from airflow.utils.state import TaskInstanceState
from sqlalchemy import delete

from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.route import Route
from release_pipelines.pipeline.release import release_dag
from release_pipelines.spec.frozen import dag_specs
from tests.fakes import World
from tests.pipeline.conftest import Outside, Released, Releases, _database, more_of_production, outside, releases

__all__ = ["_database", "more_of_production", "outside", "releases"]

RECORDED = Path(__file__).parent / "recorded"
MOMENTS = ("started_at", "decided_at", "expires_at", "accepted_at", "since", "at")


@dataclass
class Recorded:
    """One of the recorded moments, as if it had been a second ago."""

    run: dict[str, Any]
    frozen: dict[str, Any]
    history: str

    @property
    def release(self) -> str:
        """The release's id."""
        return str(self.frozen["release"])

    def trigger(self, **changed: Any) -> Any:
        """The trigger that waited, as Airflow makes it from its database: by its old class path."""
        kwargs: Any = deserialize(self.run["deferred"]["kwargs"])
        return import_string(self.run["deferred"]["classpath"])(**{**kwargs, **changed})

    def restore(self, world: World) -> None:
        """Let the world stand as it stood."""
        was = self.run["world"]
        world.tracks = {track: TrackStatus.model_validate(it) for track, it in was["tracks"].items()}
        world.shares, world.fence = was["shares"], was["fence"]
        world.lease = Lease.model_validate(was["lease"])
        world.route = Route.model_validate(was["route"])


def recorded(moment: str, outside: Outside) -> Recorded:
    """Read a folder of ``recorded/``."""
    folder = RECORDED / moment
    texts = {name: (folder / name).read_text() for name in ("run.json", "frozen.json", "history.sql")}
    run, frozen, history = (text.replace("OUTSIDE", outside.url.removeprefix("http://")) for text in texts.values())
    values = {"run": json.loads(run), "frozen": json.loads(frozen)}
    values["run"]["xcoms"] = [(task, key, json.loads(value)) for task, key, value in values["run"]["xcoms"]]
    later = time.time() - 1 - max(_moments([values["run"]["world"]["route"], values["frozen"]["since"]]))
    return Recorded(**_later(values, later), history=history)


def _moments(value: Any, key: str = "") -> list[float]:
    if isinstance(value, dict):
        return [it for name, part in value.items() for it in _moments(part, name)]
    if isinstance(value, list):
        return [it for part in value for it in _moments(part, key)]
    return [value] if isinstance(value, float) and value > 1e9 else []


def _later(value: Any, seconds: float) -> Any:
    if isinstance(value, dict):
        return {name: _later(part, seconds) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_later(part, seconds) for part in value]
    return value + seconds if isinstance(value, float) and value > 1e9 else value


@pytest.fixture
def goes_on(releases: Releases, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let today's code take up what was recorded, and run the release to its end."""

    def go_on(moment: str) -> Released:
        was = recorded(moment, releases.outside)
        for world in (releases.staging, releases.production):
            releases.runs("1.0.0") if world is releases.staging else was.restore(world)
        state = Path(os.environ["RELEASE_PIPELINES_STATE"])
        _put_history(state / "history.db", was.history)
        frozen = state / "frozen" / "shop" / f"{hashlib.sha256(was.release.encode()).hexdigest()[:32]}.json"
        frozen.parent.mkdir(parents=True, exist_ok=True)
        frozen.write_text(json.dumps(was.frozen))
        dag = release_dag(dag_specs(releases.apps, releases.config, only="shop")[0])
        assert "production.approval_3" in dag.task_dict, "the frozen specification rules, not the file"
        _register(dag, releases)
        import airflow.models.dagrun as dagrun

        begin = dagrun.get_or_create_dagrun

        def begun(**kwargs: Any) -> DagRun:
            session = kwargs["session"]
            session.execute(delete(DagRun).where(DagRun.run_id == was.run["run_id"]))
            run = begin(**{**kwargs, "run_id": was.run["run_id"]})
            _take_up(run, dag, was, session)
            return run

        monkeypatch.setattr(dagrun, "get_or_create_dagrun", begun)
        monkeypatch.setattr(HITLTrigger, "run", _answered)
        return Released(dag.test(run_conf=was.run["conf"], mark_success_pattern=r".*\.hold_lease"))

    return go_on


async def _answered(trigger: HITLTrigger) -> AsyncIterator[TriggerEvent]:
    """What Airflow's own trigger finds when a person has answered the form."""
    yield TriggerEvent(
        {
            "chosen_options": ["Approve"],
            "params_input": {},
            "responded_at": datetime.now(timezone.utc),
            "responded_by_user": {"id": "bob", "name": "bob"},
        }
    )


def _put_history(path: Path, script: str) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as db:
        db.executescript(script)


def _register(dag: DAG, releases: Releases) -> None:
    """Let Airflow know the DAG that the frozen specification gives, as its DAG processor does."""
    dag.fileloc, dag.relative_fileloc = releases.dag.fileloc, releases.dag.relative_fileloc
    for task in dag.tasks:
        task.retry_delay = task.retry_delay * 0
    bag = DagBag(dag_folder=str(releases.apps / "no_dags"))
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)


def _take_up(run: DagRun, dag: DAG, was: Recorded, session: Any) -> None:
    """The run stands as it stood; the trigger of its deferred task has run, and the task may resume."""
    deferred = was.run["deferred"]
    for task, key, value in was.run["xcoms"]:
        XComModel.set(key, value, dag_id=dag.dag_id, task_id=task, run_id=run.run_id, serialize=False, session=session)
    for ti in run.get_task_instances(session=session):
        ti.state = was.run["states"].get(ti.task_id)
    waiting = run.get_task_instance(deferred["task_id"], session=session)
    assert waiting is not None
    waiting.try_number = 1
    waiting.state = TaskInstanceState.QUEUED
    session.commit()
    own = {"ti_id": waiting.id} if "ti_id" in deferred["kwargs"] else {}
    ti = TaskInstanceOfTheSdk(
        id=UUID(str(waiting.id)),
        task_id=waiting.task_id,
        dag_id=waiting.dag_id,
        run_id=waiting.run_id,
        try_number=1,
        map_index=-1,
        dag_version_id=UUID(str(waiting.dag_version_id)),
    )
    event = InProcessTestSupervisor.run_trigger_in_process(trigger=was.trigger(**own), ti=ti)
    waiting.next_method = deferred["next_method"]
    waiting.next_kwargs = {**deferred["next_kwargs"], "event": serialize(event.payload)}
    waiting.state = TaskInstanceState.SCHEDULED
    session.commit()
