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


def test_a_train_that_has_a_file_and_no_release_yet_is_known(history: History, tmp_path: Path) -> None:
    (tmp_path / "include" / "trains").mkdir()
    (tmp_path / "include" / "trains" / "week-end.yaml").write_text("waves: [[shop]]\n")
    assert run(app, ["history", "train_week_end"]).stdout == "No release of train_week_end yet.\n"
    for command in (["show"], ["report"]):
        failed = run(app, [*command, "train_week_end"])
        assert (failed.exit_code, failed.stderr) == (1, "No release of train_week_end yet.\n")
    assert run(app, ["history", "train_weekend"]).stderr.endswith(" Did you mean train_week_end?\n")
    failed = run(app, ["abort", "train_week_end", "--by", "ann", "--reason", "prices"])
    assert (failed.exit_code, failed.stderr) == (
        1,
        "train_week_end: No release is running: there is nothing to abort.\n",
    )
    failed = run(app, ["schedule", "train_week_end", "1.4.0", "--next-window"])
    assert (failed.exit_code, failed.stderr) == (1, "train_week_end is a train, where an app is expected.\n")


@pytest.mark.parametrize("kind", ["pause", "resume", "skip", "promote"])
def test_a_train_is_only_aborted(history: History, train: str, tmp_path: Path, kind: str) -> None:
    (tmp_path / "include" / "trains").mkdir()
    (tmp_path / "include" / "trains" / "weekly.yaml").write_text("waves: [[shop]]\n")
    failed = run(app, [kind, "train_weekly", "--by", "bob"])
    assert (failed.exit_code, failed.stderr) == (
        1,
        f"train_weekly is a train: `abort` stops it, and `{kind}` is for the releases of its apps.\n",
    )
    assert history.commands(train) == []
