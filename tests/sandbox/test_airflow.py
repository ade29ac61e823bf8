"""How the sandbox's Airflow is started."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pytest

from sandbox import airflow, scheduler
from sandbox.settings import ROOT


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(airflow, "HOME", tmp_path)
    return tmp_path


def test_a_dag_whose_file_changed_twice_within_a_moment_is_kept_as_it_is_now(home: Path) -> None:
    assert airflow.variables("", "")["AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL"] == "0"


def test_airflow_runs_the_package_of_this_checkout(home: Path) -> None:
    assert str(ROOT / "plugins") in airflow.variables("", "")["PYTHONPATH"].split(os.pathsep)


def test_processes_that_have_imported_the_package_are_started_anew_after_a_change(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = home / "plugins" / "release_pipelines"
    package.mkdir(parents=True)
    monkeypatch.setattr(airflow, "ROOT", home)
    (package / "a.py").touch()
    before = airflow.variables("", "")
    assert airflow.variables("", "") == before
    os.utime(package / "a.py", (2e9, 2e9))
    assert airflow.variables("", "") != before


@pytest.mark.parametrize("name", scheduler.IMPORTED)
def test_what_the_scheduler_imports_before_its_tasks_is_there(name: str) -> None:
    import_module(name)
