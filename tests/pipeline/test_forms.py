"""What the pages of Airflow ask of a person: it insists on every text whose type does not allow null."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import DAG

from release_pipelines.features.commands.dag import control_dag
from release_pipelines.features.rollback.dag import rollback_dag
from release_pipelines.pipeline.release import release_dag
from release_pipelines.spec.release import analyses_of, load_release
from sandbox.settings import ROOT

APPS, CONFIG = ROOT / "include" / "apps", ROOT / "include" / "config"


def empty(dag: DAG) -> set[str]:
    """The fields that a person has to fill in before the form can be sent."""
    found = {name: dag.params.get_param(name) for name in dag.params}
    return {name for name, it in found.items() if it.value in (None, "") and it.schema["type"] == "string"}


@pytest.fixture
def two_apps(tmp_path: Path) -> Path:
    for name in ("shop", "cart"):
        (tmp_path / f"{name}.yaml").touch()
    return tmp_path


def test_a_release_asks_for_a_version_only() -> None:
    assert empty(release_dag(load_release(APPS / "storefront.yaml", CONFIG, analyses_of(APPS)))) == {"version"}


def test_a_control_asks_for_nothing_where_there_is_one_app_and_offers_the_app_where_there_are_more(
    two_apps: Path,
) -> None:
    assert empty(control_dag(APPS, CONFIG)) == set()
    assert empty(control_dag(two_apps, CONFIG)) == {"app"}


def test_a_rollback_asks_for_a_reason(two_apps: Path) -> None:
    assert empty(rollback_dag(APPS, CONFIG)) == {"reason"}
    assert empty(rollback_dag(two_apps, CONFIG)) == {"app", "reason"}


def test_the_list_of_dags_says_how_an_app_is_released_and_who_is_waited_for() -> None:
    said = release_dag(load_release(APPS / "storefront.yaml", CONFIG, analyses_of(APPS))).description or ""
    assert said.endswith(" By canary to staging, then production, where it waits for bob or carol.")
