"""The rollback's form lists the versions that are good."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.features.rollback import good
from release_pipelines.features.rollback.dag import rollback_dag
from release_pipelines.features.rollback.feature import RollbackFeature
from tests.adapters.history.conftest import artifact


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")


def form(folder: Path) -> str:
    apps = folder / "apps"
    apps.mkdir(exist_ok=True)
    (apps / "shop.yaml").write_text("name: shop\n")
    return str(rollback_dag(apps, folder).params.get_param("version").description)


def test_the_form_lists_what_the_last_outcome_left_good(tmp_path: Path) -> None:  # R8
    assert form(tmp_path) == "To go back to. Empty: the newest that was promoted and held."
    history = HistoryHook().history()
    for version, letter in (("1.0.0", "a"), ("1.1.0", "b"), ("1.2.0", "c")):
        history.begin(version, "shop", "release_shop", version, version, "ann")
        history.record_artifact(version, artifact(version, letter))
        history.promoted(version)
        history.finish(version, "released" if version != "1.1.0" else "rolled_back", "So it was.")
    ended: Any = SimpleNamespace(target=SimpleNamespace(app="shop", environment="production"))
    RollbackFeature().explain(ended)
    assert form(tmp_path).endswith("held. Good for shop in production: 1.2.0, 1.0.0.")


def test_a_list_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    good.keep("shop", "production", ["1.0.0"])
    (tmp_path / "state" / "good" / "shop.json").write_text("{oops")
    assert "Good" not in form(tmp_path)
