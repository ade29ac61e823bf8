"""What stays of a release when it has ended: its plots, its report, and who was told (R8, R13)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from release_pipelines.adapters.history import Event, History
from release_pipelines.airflow.hooks.history import HistoryHook
from tests.pipeline.conftest import CANARY, Releases
from tests.receivers import Receiver


@pytest.fixture(autouse=True)
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    it = Receiver()
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps({"conn_type": "http", "host": it.url}))
    yield it
    it.close()


def attached(history: History, app: str) -> dict[str, str]:
    """What is attached to the app's newest release."""
    return {it.name: it.content for it in history.attachments(history.releases(app)[0].id)}


def kinds(events: list[Event]) -> list[str]:
    return [it.kind for it in events]


def test_a_release_that_went_back_leaves_a_report_with_its_plots(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.outside.bad = 0.05
    assert releases.release("1.1.0").outcome == "rolled_back"
    history = HistoryHook().history()
    files = attached(history, "shop")
    assert sorted(files) == ["incident.md", "production-step_10-errors.svg"]
    assert "> Rolled back 1.1.0 at 10 %: error rate 5 % over 1,000 requests, limit 1 %" in files["incident.md"]
    for row in (
        "| decided |",
        "| traffic safe |",
        "| verified (production) | all traffic is on 1.0.0, which answers |",
    ):
        assert row in files["incident.md"], row
    assert "Stable runs 1.0.0 (2 of 2 ready) with 100 % of the traffic." in files["incident.md"]
    assert kinds(history.find("shop").events)[-1] == "notified"  # the log, where the file names nobody


def test_a_release_that_held_leaves_a_plot_of_every_step(releases: Releases) -> None:
    releases.runs("1.0.0")
    assert releases.release("1.1.0").outcome == "released"
    names = ("bake-errors", "release", "step_10-errors", "step_50-errors")
    assert sorted(attached(HistoryHook().history(), "shop")) == [f"production-{name}.svg" for name in names]


@pytest.mark.parametrize("releases", [CANARY], indirect=True, ids=["canary"])
def test_a_persons_rollback_is_reported_and_told(releases: Releases, receiver: Receiver) -> None:
    file = releases.config / "production.yaml"
    file.write_text(f"{file.read_text()}notify: [{{kind: webhook, connection: hook}}]\n")
    releases.runs("1.0.0")
    assert releases.release("1.1.0").outcome == "released"
    done = releases.roll_back(app="shop", reason="prices are wrong")
    assert done.outcome == "rolled_back", done.sentence
    history = HistoryHook().history()
    report = attached(history, "shop")["incident.md"]
    assert "> Rolled back 1.1.0: dag_test: prices are wrong" in report
    assert "| verified (production) |" in report
    told = receiver.requests[-1][2]
    assert (told["outcome"], told["version"], told["report"]) == ("rolled_back", "1.1.0", report)
