"""What people read about tasks in Airflow's own pages: names, what they do, and links, also of a DAG as Airflow keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from release_pipelines.airflow.links import Link
from release_pipelines.airflow.words import title_of
from release_pipelines.features.commands.dag import control_dag
from release_pipelines.features.pushes.dag import pushes_dag
from release_pipelines.features.rollback.dag import rollback_dag
from release_pipelines.pipeline.release import release_dag
from release_pipelines.spec.release import load_release
from tests.fakes import NEW

LINKS = (
    'links: {prometheus: "https://prometheus.example", registry: "https://harbor.example/shop/{digest}", '
    'grafana: "https://grafana.example/d/x?var-app={app}&from={from}"}\n'
)
BASE = """
platform: container_host
connections: {platform: p, engine: e, registry: r, prometheus: m}
address: {url: "http://127.0.0.1:1", host: "{app}.example"}
approvers: [bob]
"""
AIRFLOW = "https://airflow.example/team-a"


@pytest.fixture
def dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DAG:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", AIRFLOW)
    config = tmp_path / "config"
    config.mkdir()
    (config / "base.yaml").write_text(BASE + LINKS)
    for name in ("staging", "production"):
        (config / f"{name}.yaml").write_text(f"name: {name}\n")
    (tmp_path / "shop.yaml").write_text(
        "name: shop\nbuild: {repository: 'https://bot:tok3n@git.example.com/acme/shop.git'}\nstrategy: {canary: {steps: [{weight: 10, hold: 1m}]}}\n"
    )
    return release_dag(load_release(tmp_path / "shop.yaml", config, tmp_path / "analyses"))


def kept(dag: DAG) -> Any:
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


def link(task: Any, name: str) -> Link:
    [found] = [it for it in task.operator_extra_links if it.name == name]
    assert isinstance(found, Link)
    return found


def address(task: Any, name: str) -> str:
    return link(task, name).get_link(task, ti_key=SimpleNamespace(dag_id="release_shop", run_id="manual__1+x"))


def test_every_task_says_what_it_does_and_has_a_name_that_reads(dag: DAG, tmp_path: Path) -> None:
    for it in (dag, control_dag(tmp_path, tmp_path), rollback_dag(tmp_path, tmp_path), pushes_dag(tmp_path, tmp_path)):
        for task in kept(it).tasks:
            assert len(task.doc_md) > 30, task.task_id
            assert "``" not in task.doc_md, task.doc_md
            assert ":class:" not in task.doc_md, task.doc_md
            assert f"`{task.task_id}`" in task.doc_md
            assert task.task_display_name, task.task_id
            assert "_" not in task.task_display_name, task.task_display_name
    names = {it.task_id: it.task_display_name for it in kept(dag).tasks}
    assert names["production.step_10"] == "Step 10 %"
    assert names["production.take_lease"] == "Take lease"


@pytest.mark.parametrize("name", ["load-test", "Load test", "loadTest", "x__y"])
def test_what_a_team_called_its_own_way_stays_so(name: str) -> None:
    assert title_of(f"production.{name}") == name


def test_every_task_leads_to_the_page_of_its_release(dag: DAG) -> None:
    for task in dag.tasks:
        if task.operator_extra_links:
            assert address(task, "Release") == f"{AIRFLOW}/dags/release_shop/runs/manual__1%2Bx/plugin/release"
    assert address(dag.get_task("outcome"), "Report") == (
        f"{AIRFLOW}/plugin/releases/releases/runs/release_shop/manual__1%2Bx/report"
    )
    stored = {it.name: it.xcom_key for it in kept(dag).get_task("production.step_10").operator_extra_links}
    assert stored["Prometheus"] == "_link_prometheus"


def test_a_stage_leads_to_the_queries_that_judge_it_and_to_the_dashboard(dag: DAG) -> None:
    stage = dag.get_task("production.step_10")
    assert address(stage, "Prometheus").startswith("https://prometheus.example/graph?g0.expr=")
    assert "shop-production-canary" in address(stage, "Prometheus")
    assert address(stage, "Grafana").startswith("https://grafana.example/d/x?var-app=shop&from=1")


def test_an_image_and_a_commit_are_led_to_without_what_signs_in(dag: DAG) -> None:
    build, stage = dag.get_task("build.build_image"), dag.get_task("production.step_10")
    build.commit = "1" * 40
    assert address(build, "Commit") == f"https://git.example.com/acme/shop/commit/{'1' * 40}"
    assert address(stage, "Registry") == ""
    stage.artifact = json.dumps({"app": "shop", "version": "1.2.0", "image": "r/shop", "digest": NEW})
    assert address(stage, "Registry") == f"https://harbor.example/shop/{NEW.replace(':', '%3A')}"


def test_links_are_there_while_a_task_waits(dag: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
    stage: Any = dag.get_task("production.step_10")
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="release_shop", run_id="manual__1", xcom_push=lambda key, value: pushed.__setitem__(key, value)
    )

    def waits(context: Any) -> None:
        raise TaskDeferred(trigger=SimpleNamespace(), method_name="x")

    monkeypatch.setattr(stage, "work", waits)
    with pytest.raises(TaskDeferred):
        type(stage).execute(stage, {"ti": ti})
    assert pushed["_link_release"] == f"{AIRFLOW}/dags/release_shop/runs/manual__1/plugin/release"
    assert pushed["_link_prometheus"].startswith("https://prometheus.example/graph?")


def test_a_link_that_cannot_be_made_stops_nothing(dag: DAG) -> None:
    stage = dag.get_task("production.step_10")
    stage.artifact = "{no json"
    assert address(stage, "Registry") == ""


def test_a_task_waits_also_where_its_links_cannot_be_stored(dag: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
    stage: Any = dag.get_task("production.step_10")

    def refuses(key: str, value: Any) -> None:
        raise ConnectionError("the API server is away")

    def waits(context: Any) -> None:
        raise TaskDeferred(trigger=SimpleNamespace(), method_name="x")

    monkeypatch.setattr(stage, "work", waits)
    ti = SimpleNamespace(dag_id="release_shop", run_id="manual__1", xcom_push=refuses)
    with pytest.raises(TaskDeferred):
        type(stage).execute(stage, {"ti": ti})
