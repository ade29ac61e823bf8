"""Trains in a terminal: their files are checked, and they are listed, told and aborted as releases are."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import History
from release_pipelines.cli import app
from release_pipelines.core.trains.report import TRAIN_REPORT
from tests.cli.test_steering import history, taken_up

__all__ = ["history"]

run = CliRunner().invoke
TRAIN = "train_weekly/one#0"


@pytest.fixture
def train(history: History) -> str:
    history.begin(TRAIN, "train_weekly", "train_weekly", "one", "shop 1.2.0", "ann")
    return TRAIN


def test_files_of_trains_are_checked_with_the_project_and_alone(history: History, tmp_path: Path) -> None:
    trains = tmp_path / "include" / "trains"
    trains.mkdir()
    (trains / "weekly.yaml").write_text("waves: [[shop]]\n")
    assert run(app, ["validate"]).exit_code == 0
    assert run(app, ["validate", str(trains)]).stdout == "1 train, no mistakes.\n"
    (trains / "daily.yaml").write_text("waves: [[shop], [shop]]\n")
    for path in ([], [str(trains)], [str(trains / "daily.yaml")]):
        failed = run(app, ["validate", *path])
        assert failed.exit_code == 1
        assert failed.stderr == "daily.yaml: found `shop` in waves 1 and 2, expected each app once\n"
    assert run(app, ["validate", str(trains / "weekly.yaml")]).exit_code == 0


def test_a_train_is_listed_and_told_and_its_report_printed(history: History, train: str) -> None:
    history.finish(train, "compensation_failed", "Stopped train weekly: shop failed.")
    history.attach(train, TRAIN_REPORT, "text/markdown", "# Train weekly: compensation failed\n")
    listed = run(app, ["history", "train_weekly"]).stdout
    assert "compensation_failed" in listed
    assert "train_weekly" not in run(app, ["history", "shop"]).stdout
    assert "Stopped train weekly: shop failed." in run(app, ["show", "train_weekly"]).stdout
    assert run(app, ["report", "train_weekly"]).stdout == "# Train weekly: compensation failed\n\n"


def test_a_running_train_is_aborted_as_a_release_is(history: History, train: str) -> None:
    with taken_up(history, "The train stops; nothing more of it is begun."):
        done = run(app, ["abort", "train_weekly", "--by", "ann", "--reason", "prices"])
    assert done.exit_code == 0, done.stderr
    assert "The train stops" in done.stdout
    [command] = history.commands(train)
    assert (command.kind, command.by, command.reason) == ("abort", "ann", "prices")
