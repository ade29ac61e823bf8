"""A run that is deleted or cleared in mid-release says nothing any more: the next one ends its release (R6)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.features.preflight.deleted import end_deleted
from release_pipelines.spec.frozen import freeze, is_frozen
from tests.features.helpers import Ti
from tests.features.outcome.test_operators import spec


class Airflow(Ti):
    """Knows some runs."""

    def __init__(self, *runs: str) -> None:
        super().__init__()
        self.runs = runs

    def get_dr_count(self, dag_id: str, run_ids: list[str]) -> int:
        return sum(run in self.runs for run in run_ids)


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """The runs `one`, `two` and `three` have begun a release; that of `elsewhere` began in another Airflow."""
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    it = HistoryHook().history()
    for run in ("one", "two", "three", "elsewhere"):
        it.begin(f"release_shop/{run}#0", "shop", "release_shop", run, "1.1.0", "alice")
        if run != "elsewhere":
            freeze(f"release_shop/{run}#0", spec(tmp_path, "[]"))
    return it


def test_releases_without_a_run_end_and_their_specification_goes(history: History) -> None:
    context: Any = {"ti": Airflow("two", "three"), "dag_run": SimpleNamespace(dag_id="release_shop", run_id="three")}
    end_deleted(context, history, "shop", "production", "release_shop/three#1")
    ended = {it.run_id: it.sentence for it in history.releases("shop") if it.outcome}
    assert ended == {
        "one": "Aborted 1.1.0: its run was deleted before it had ended.",
        "three": "Aborted 1.1.0: its run was cleared before it had ended.",
    }
    assert [is_frozen(f"release_shop/{it}#0") for it in ("one", "two", "three")] == [False, True, False]


def test_an_airflow_that_cannot_be_asked_stops_no_release(history: History) -> None:
    context: Any = {"ti": Ti(), "dag_run": SimpleNamespace(dag_id="release_shop", run_id="four")}
    end_deleted(context, history, "shop", "production", "release_shop/four#0")
    assert not [it for it in history.releases("shop") if it.outcome]
