"""`release pushes`: what came, what it came to, and which run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import History, open_history
from release_pipelines.cli import app
from release_pipelines.core.pushes.deciding import Fate
from release_pipelines.core.pushes.meaning import Start

run = CliRunner().invoke
C1 = "1" * 40
START = Start("shop", C1, f"commit:{C1}", C1, by="octocat", source="github")


@pytest.fixture(autouse=True)
def history(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> History:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    monkeypatch.setenv("RELEASE_PIPELINES_APPS", str(tmp_path))
    (tmp_path / "shop.yaml").write_text("name: shop\n")
    return open_history(f"sqlite:///{tmp_path}/history.db")


def told(history: History) -> None:
    history.judged(history.deliver("shop", "github", "g1", []), "branch main (111111111111): kept, it has come")
    history.deliver("cart", "registry", None, ["a sentence"])
    kept = history.ask_for("production", START, Fate("waiting", "it has come")).kept
    history.becomes(kept, Fate("started", "its run is push-1111111111111111"))


def test_nothing_is_a_sentence() -> None:
    assert run(app, ["pushes"]).stdout == "Nothing was pushed yet.\n"
    assert run(app, ["pushes", "shop"]).stdout == "Nothing was pushed for shop yet.\n"


def test_an_app_that_nobody_knows_is_a_mistake() -> None:
    for more in ([], ["--json"]):
        failed = run(app, ["pushes", "shpo", *more])
        assert (failed.exit_code, failed.stdout) == (1, "")
        assert failed.stderr.startswith("No app shpo is known: ")
        assert failed.stderr.endswith(" Did you mean shop?\n")


def test_people_see_the_start_its_run_and_the_deliveries(history: History) -> None:
    told(history)
    said = run(app, ["pushes"]).stdout
    starts, deliveries = said.split("Deliveries")
    for word in ("shop", C1, "github", "octocat", "started", "push-1111111111111111"):
        assert word in starts
    assert "g1" in deliveries
    assert "nobody has looked at it yet" in deliveries
    assert "cart" not in run(app, ["pushes", "shop"]).stdout


def test_programs_get_all_of_it(history: History) -> None:
    told(history)
    found = json.loads(run(app, ["pushes", "shop", "--json"]).stdout)
    [start], [delivery] = found["starts"], found["deliveries"]
    assert (start["state"], start["run_id"], start["commit"]) == ("started", "push-1111111111111111", C1)
    assert start["at"].endswith("+00:00")
    assert delivery["name"] == "g1"
