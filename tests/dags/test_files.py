"""The DAG files as Airflow reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

ROOT = Path(__file__).parents[2]
HEAVY = (
    "kubernetes",
    "kubernetes_asyncio",
    "docker",
    "boto3",
    "pandas",
    "numpy",
    "scipy",
    "matplotlib",
    "prometheus_api_client",
    # Of this package, what only works while a task or a trigger runs.
    "release_pipelines.core.progression",
    "release_pipelines.core.model.records",
    "release_pipelines.adapters.git",
    "release_pipelines.adapters.history",
    "release_pipelines.adapters.signing",
    "release_pipelines.core.attestations",
    "release_pipelines.adapters.builders.engine",
    "release_pipelines.adapters.kubernetes.client",
    "release_pipelines.adapters.metrics.prometheus",
    "release_pipelines.airflow.commands",
)
LOAD_ALL = """
import runpy, sys, pathlib
for file in sorted(pathlib.Path("dags").rglob("*.py")):
    if file.name == "after_release.py":  # for an asset Airflow asks all providers who knows its scheme
        continue
    runpy.run_path(str(file))
print(",".join(name for name in {heavy} if name in sys.modules))
"""


@pytest.fixture
def apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of app files of its own, with the app ``shop``."""
    folder = tmp_path / "apps"
    folder.mkdir()
    (folder / "shop.yaml").write_text("name: shop\n")
    monkeypatch.setenv("RELEASE_PIPELINES_APPS", str(folder))
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    return folder


def bag(file: str = "releases.py") -> DagBag:
    return DagBag(dag_folder=str(ROOT / "dags" / file))


def test_every_dag_file_of_the_project_parses() -> None:
    read = DagBag(dag_folder=str(ROOT / "dags"))
    assert not read.import_errors
    assert {"release_storefront", "release_control", "release_rollback"} <= set(read.dags)


def test_importing_every_dag_file_leaves_out_what_only_a_run_needs() -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOAD_ALL.format(heavy=HEAVY)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip().splitlines()[-1:] in ([], [""])


def test_a_dag_per_app(apps: Path) -> None:
    (apps / "pay-desk.yaml").write_text("name: pay-desk\n")
    assert set(bag().dags) == {"release_shop", "release_pay_desk"}


def test_a_broken_app_file_leaves_the_other_dags_and_names_file_and_key(apps: Path) -> None:  # R12
    (apps / "broken.yaml").write_text("name: broken\nstrategy: {canary: {stepps: []}}\n")
    read = bag()
    assert set(read.dags) == {"release_shop"}
    assert not read.import_errors
    [said] = bag("app_errors.py").import_errors.values()
    assert "broken.yaml" in said
    assert "strategy.canary.stepps" in said
    assert "did you mean `steps`" in said


def test_no_broken_file_no_import_error(apps: Path) -> None:  # R12
    assert not bag("app_errors.py").import_errors


def test_an_app_file_that_breaks_keeps_its_dag(apps: Path) -> None:  # R12
    assert set(bag().dags) == {"release_shop"}
    (apps / "shop.yaml").write_text("name: shop\nworkloads: {port: many}\n")
    assert set(bag().dags) == {"release_shop"}


def test_a_dag_per_train_and_what_is_wrong_with_one_is_told_beside_those_of_apps(
    apps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains = tmp_path / "trains"
    trains.mkdir()
    monkeypatch.setenv("RELEASE_PIPELINES_TRAINS", str(trains))
    (apps / "pay-desk.yaml").write_text("name: pay-desk\n")
    (trains / "weekly.yaml").write_text("waves: [[shop], [pay-desk]]\nbake: 10m\n")
    (trains / "circle.yaml").write_text("apps: [shop, pay-desk]\nneeds: {shop: pay-desk, pay-desk: shop}\n")
    read = bag("trains.py")
    assert not read.import_errors
    assert set(read.dags) == {"train_weekly"}
    weekly = read.dags["train_weekly"]
    assert weekly.get_task("wave_2.app_pay-desk").upstream_task_ids == {"wave_1.held"}
    assert [it.task_id for it in weekly.tasks if it.trigger_rule == "all_done"] == ["take_back", "announce"]
    [said] = bag("app_errors.py").import_errors.values()
    assert "circle.yaml: found shop → pay-desk → shop, expected no circle" in said


def test_an_app_whose_file_is_gone_has_no_dag(apps: Path) -> None:
    assert bag().dags
    shutil.rmtree(apps)
    apps.mkdir()
    assert not bag().dags


def test_the_plugin_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its folder or by its entry point; both would be shown to everybody as a plugin import error."""
    script = "from airflow.plugins_manager import _get_plugins as get; p, e = get(); print([it.name for it in p], e)"
    process = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins")},
        capture_output=True,
        text=True,
    )
    said = process.stdout.strip().splitlines()[-1]
    assert said.count("'release_pipelines'") == 1, process.stderr
    assert said.endswith("{}")
