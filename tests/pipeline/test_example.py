"""The example DAG, run as it stands: only its times are shorter, and its connections lead to fakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.sdk import DAG

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from tests.fakes import GOOD, NEW, World
from tests.pipeline.conftest import Outside, Released, Releases, moves

FILE = Path(__file__).parents[2] / "dags" / "examples" / "model_server_canary.py"


def host_of(outside: Outside) -> str:
    return outside.url.removeprefix("http://")


@pytest.fixture
def world(releases: Releases, outside: Outside) -> World:
    """Where the model server runs: 1.0.0 has all traffic."""
    it = outside.worlds["models"] = World()
    artifact = Artifact(app="model-server", version="1.0.0", image=f"{host_of(outside)}/storefront", digest=GOOD)
    it.runs("stable", artifact)
    it.route = Route(traffic=ALL_TO_STABLE, note=RouteNote(last_good=artifact, done=True))
    return it


@pytest.fixture
def example(world: World, outside: Outside, monkeypatch: pytest.MonkeyPatch) -> DAG:
    for name, host in {"engine": "none", "registry": host_of(outside), "prometheus": outside.url}.items():
        connection = {"conn_type": "generic", "host": host, "extra": {"insecure": True}}
        monkeypatch.setenv(f"AIRFLOW_CONN_SANDBOX_{name.upper()}", json.dumps(connection))
    bag = DagBag(dag_folder=str(FILE))
    dag = bag.dags["model_server_canary"]
    for name in ("step_20", "bake"):
        task: Any = dag.task_dict[name]
        analysis = task.stage.analysis.model_copy(update={"interval": 0.05, "patience": 0.1})
        task.stage = task.stage.model_copy(update={"hold": Hold(min=0.2, max=0.2), "analysis": analysis})
    for name in ("promote", "give_back"):
        task = dag.task_dict[name]
        task.retire_after = 0.05
    sync_bag_to_db(bag, "dags-folder", None)
    return dag


def released(dag: DAG) -> Released:
    # The heartbeat lasts as long as the release, and `dag.test` runs one task after the other.
    return Released(dag.test(run_conf={"version": "1.1.0"}, mark_success_pattern="hold_lease"))


def test_the_example_releases_a_good_version(example: DAG, world: World) -> None:  # R18
    run = released(example)
    assert run.state == "success"
    assert moves(world)[-4:] == [20, 100, 50, 0]
    assert world.tracks.keys() == {"stable"}
    assert world.tracks["stable"].digest == NEW
    assert world.lease is None


def test_the_example_gives_the_traffic_and_the_lease_back_when_the_version_is_bad(
    example: DAG, world: World, outside: Outside
) -> None:  # R2, R4, R9
    outside.bad = 0.5
    run = released(example)
    assert run.state == "failed"
    assert run.states["step_20"] == "failed"
    assert "error rate 50 %" in run.pushed("step_20", "verdict")["sentence"]
    assert moves(world)[-2:] == [20, 0]
    assert world.tracks.keys() == {"stable"}
    assert world.tracks["stable"].digest == GOOD
    assert world.lease is None
