"""When the DAG of pushes runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable

from release_pipelines.features.pushes import dag as module
from release_pipelines.features.pushes.dag import pushes_dag
from tests.spec.conftest import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    return Project(tmp_path)


def dag(project: Project) -> DAG:
    return pushes_dag(project.apps, project.config)


def test_where_no_app_has_starts_it_has_no_schedule(project: Project) -> None:
    project.app()
    assert dag(project).schedule is None


def test_it_looks_every_two_minutes_and_one_run_at_a_time(project: Project) -> None:
    project.app("starts: {registry: true}")
    made = dag(project)
    assert isinstance(made.timetable, CronTriggerTimetable)
    assert (made.max_active_runs, made.catchup) == (1, False)


def test_events_of_assets_start_it_too(project: Project) -> None:
    project.app("starts: {asset: 's3://models/shop'}", "shop")
    project.app("starts: {asset: 's3://models/shop'}", "cart")
    project.app("starts: {asset: trained}", "desk")
    made: Any = dag(project).timetable
    assert isinstance(made, AssetOrTimeSchedule)
    assert {it.uri for it in made.asset_condition.objects} == {"s3://models/shop", "trained"}


def test_airflow_can_store_it(project: Project) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    project.app("starts: {asset: 's3://models/shop'}", "shop")
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag(project)))
    assert stored.task_dict["start"].is_mapped
    assert stored.timetable.asset_condition


def test_a_file_that_breaks_keeps_its_app_in_it(project: Project) -> None:
    from release_pipelines.spec.frozen import dag_specs

    path = project.app("starts: {registry: true}", "shop")
    dag_specs(project.apps, project.config)
    path.write_text("name: shop\nstarts: {registri: true}\n")
    assert dag(project).schedule is not None


def test_a_tasks_process_reads_no_app_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.definitions.context import AirflowParsingContext

    monkeypatch.setattr(module, "get_parsing_context", lambda: AirflowParsingContext("release_pushes", "look"))
    monkeypatch.setattr(module, "receiving_specs", lambda *_: pytest.fail("it was read"))
    assert {it.task_id for it in dag(project).tasks} == {"look", "start"}
