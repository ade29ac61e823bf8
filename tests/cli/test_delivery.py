"""``release delivery``: DORA's measures of the history, in a terminal and for programs."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from release_pipelines.adapters.history import open_history
from release_pipelines.cli import app


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/history.db"
    history = open_history(url)
    for day in (1, 8):
        at = datetime(2026, 6, day, 12, tzinfo=timezone.utc).timestamp()
        history._now = lambda at=at: at  # type: ignore[method-assign,misc]
        release = f"release_shop/r{day}#0"
        history.begin(release, "shop", "release_shop", f"r{day}", f"1.{day}.0", "alice")
        history.record_event(release, "traffic", "all", "production", {"step": "bake", "weight": 100, "at": at})
        history.promoted(release)
        history.finish(release, "released" if day == 1 else "rolled_back", ".")
    return url


def ask(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["delivery", "--database", url, *arguments])


JUNE = ("--since", "2026-06-01", "--until", "2026-07-01")


def test_it_tells_the_five_measures_with_their_numbers(url: str) -> None:
    said = ask(url, *JUNE)
    assert said.exit_code == 0
    assert "50.0 % (1 of 2)" in said.stdout
    assert "–" in said.stdout  # noqa: RUF001 - nothing is known of commits


def test_a_program_reads_null_where_there_is_nothing_to_measure(url: str) -> None:
    [shop] = json.loads(ask(url, *JUNE, "--json").stdout)["apps"].values()
    assert (shop["deployed"], shop["attempts"], shop["change_fail_rate"], shop["lead_time"]) == (1, 2, 0.5, None)
    assert [it["deployed"] for it in shop["weeks"]] == [1, 0, 0, 0, 0]


def test_an_empty_span_has_a_frequency_and_nothing_else(url: str) -> None:
    [shop] = json.loads(ask(url, "shop", "--since", "2026-08-01", "--until", "2026-09-01", "--json").stdout)[
        "apps"
    ].values()
    assert (shop["deployed"], shop["change_fail_rate"], shop["recovery_time"], shop["rework_rate"]) == (
        0,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--zone", "Mars"), "--zone"),
        (("--since", "June"), "expected a day"),
        (("--since", "2026-07-01", "--until", "2026-06-01"), "at least one day"),
        (("shopp",), "shop"),
        (("--environment", "nosuch"), "found `nosuch`, expected one of production"),
        (("shop", "--environment", "nosuch"), "found `nosuch`, expected one of production"),
    ],
)
def test_bad_options_get_one_sentence(url: str, arguments: tuple[str, ...], expected: str) -> None:
    bad = ask(url, *arguments)
    assert bad.exit_code == 1
    assert expected in bad.stderr
