"""From a delivery to a release that held: the endpoint, the DAG that it wakes, the run that this makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG
from fastapi.testclient import TestClient

from release_pipelines.airflow import endpoint
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.features.pushes import operators
from release_pipelines.features.pushes.dag import pushes_dag
from tests.core.pushes import payloads
from tests.fakes import NEW
from tests.pipeline.conftest import Released, Releases

STARTED = pytest.mark.parametrize("releases", ["starts: {registry: true}\n"], indirect=True)
RUN = f"push-{NEW.removeprefix('sha256:')[:16]}"


@pytest.fixture
def pushes(releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DAG:
    """The DAG `release_pushes` of the project, known to Airflow."""
    monkeypatch.setenv("RELEASE_PIPELINES_APPS", str(releases.apps))
    monkeypatch.setenv("RELEASE_PIPELINES_CONFIG", str(releases.config))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HOOKS", json.dumps({"conn_type": "generic", "password": "pear-tree-7"}))
    monkeypatch.setattr(operators, "LOOK_SECONDS", 0.01)
    dag = pushes_dag(releases.apps, releases.config)
    bag = DagBag(dag_folder=str(tmp_path / "no_dags"))
    for it in (dag, releases.dag):
        it.fileloc, it.relative_fileloc = str(tmp_path / f"{it.dag_id}.py"), f"{it.dag_id}.py"
        Path(it.fileloc).write_text("# made by the fixture\n")
        bag.bag_dag(it)
    sync_bag_to_db(bag, "dags-folder", None)
    for run in DagRun.find(dag_id=[dag.dag_id, releases.dag.dag_id]):
        removed(run)
    return dag


def removed(run: DagRun) -> None:
    from airflow.utils.session import create_session

    with create_session() as session:
        session.delete(session.merge(run))


def deliver(tag: str, digest: str, by: str = "builder") -> Any:
    body = json.dumps({"events": [payloads.pushed(tag, digest, "shop") | {"actor": {"name": by}}]})
    headers = {"Authorization": "Bearer pear-tree-7"}
    return TestClient(endpoint.create()).post("/hooks/shop", content=body, headers=headers)


@STARTED
def test_a_delivery_wakes_the_dag_which_makes_one_run_and_that_releases_the_digest(
    releases: Releases, pushes: DAG
) -> None:
    releases.runs("1.0.0")
    for _ in range(3):
        assert deliver("1.1.0", NEW).status_code == 200
    [woken] = DagRun.find(dag_id="release_pushes")
    assert woken.run_id.startswith("woken-")
    assert woken.triggering_user_name is None
    removed(woken)

    looked = Released(pushes.test())
    assert looked.state == "success", looked.states
    [made] = DagRun.find(dag_id="release_shop")
    assert made.run_id == RUN
    assert made.conf["version"] == "1.1.0"
    assert made.conf["digest"] == NEW
    assert made.conf["requested_by"] == "builder@registry"
    [kept] = HistoryHook().history().starts("shop")
    assert (kept.state, kept.run_id) == ("starting", RUN)

    removed(made)
    done = releases.release(**made.conf)
    assert done.outcome == "released", done.sentence
    assert releases.production.tracks["stable"].digest == NEW


@STARTED
def test_a_login_that_is_a_template_is_not_rendered(releases: Releases, pushes: DAG) -> None:  # R11
    releases.runs("1.0.0")
    deliver("1.1.0", NEW, by="{{ 6 * 7 }}")
    assert Released(pushes.test()).state == "success"
    [made] = DagRun.find(dag_id="release_shop")
    assert made.conf["requested_by"] == "{{ 6 * 7 }}@registry"
    assert "42" not in made.conf["notes"]


@STARTED
def test_with_nothing_to_start_the_dag_is_green(releases: Releases, pushes: DAG) -> None:
    done = Released(pushes.test())
    assert (done.state, done.states) == ("success", {"look": "success", "start": "skipped"})


@STARTED
def test_a_digest_that_is_not_the_versions_is_refused(releases: Releases) -> None:  # R1
    releases.runs("1.0.0")
    other = "sha256:" + "9" * 64
    for version, digest, why in (
        ("1.0.0", other, "a version keeps its image"),
        ("1.1.0", other, f"@{other}: push it again"),
        ("1.1.0", "latest", "one like sha256:"),
    ):
        done = releases.release(version, digest=digest)
        assert done.outcome == "failed"
        assert why in done.sentence


def test_a_push_of_a_digest_whose_tag_comes_late_is_released_by_its_digest(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.2.0", digest=NEW)  # the registry has the image, and no tag 1.2.0 yet
    assert done.outcome == "released", done.sentence
    assert releases.production.tracks["stable"].digest == NEW
