"""An Airflow of its own for every test process: a home in a temporary folder, SQLite, no examples."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import tools

pytest_plugins = ["tests.databases"]

ROOT = Path(__file__).parents[1]


def _home() -> None:
    """Set before anything imports Airflow, which reads its configuration when it is imported."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "RELEASE_PIPELINES_"))]:
        del os.environ[name]
    home = tempfile.mkdtemp(prefix="release-pipelines-tests-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ.update(
        AIRFLOW_HOME=home,
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
        AIRFLOW__CORE__UNIT_TEST_MODE="False",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db",
        AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
        RELEASE_PIPELINES_STATE=f"{home}/release_pipelines",
        NO_PROXY="127.0.0.1,localhost",
    )


_home()
tools.use()

# How long anything takes is never asserted: machines that run tests are noisy.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", parent=settings.get_profile("here"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "here"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no core waits for it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("begins_first") is None)
