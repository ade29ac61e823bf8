"""``release status``: what was seen to run, in a terminal and for programs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from release_pipelines.adapters.history import History, open_history
from release_pipelines.cli import app
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.sighting import Drift, Health, Sighting, TrackSeen

DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path}/history.db"


@pytest.fixture
def history(url: str) -> History:
    return open_history(url)


def ask(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["status", "--database", url, *arguments])


def told(url: str, *arguments: str) -> list[dict[str, Any]]:
    return json.loads(ask(url, *arguments, "--json").stdout)  # type: ignore[no-any-return]


def sighting(name: str = "shop", environment: str = "production", age: float = 5.0, **more: Any) -> Sighting:
    at = time.time() - age
    stable = TrackSeen(track="stable", digest=DIGEST, version="1.0.0", weight=100, ready=2, wanted=2)
    known = {"digest": DIGEST, "version": "1.0.0", "since": at - 600, "tracks": [stable], **more}
    health = Health(state="ok", at=at, sentence="failed requests: 0 %, limit 1 %")
    return Sighting(app=name, environment=environment, looked_at=at, observed_at=at, health=health, **known)


def ended(history: History, version: str, outcome: Any, name: str = "shop") -> str:
    release = f"release_{name}/{version}#0"
    history.begin(release, name, f"release_{name}", version, version, "alice")
    history.finish(release, outcome, ".")
    return release


def test_what_runs_and_what_was_last_tried_stand_beside_each_other(url: str, history: History) -> None:
    brought = ended(history, "1.0.0", "released")
    ended(history, "1.0.10", "rolled_back")
    history.observe([sighting(release=brought)])
    [heading, line] = ask(url).stdout.splitlines()
    assert heading.split()[:4] == ["APP", "ENVIRONMENT", "RUNS", "SINCE"]
    for part in ("shop", "production", "1.0.0", "alice", "ok", "1.0.10 rolled back", "5 s ago"):
        assert part in line
    [it] = told(url)
    assert (it["runs"], it["by"], it["state"], it["old"]) == ("1.0.0", "alice", "ok", False)
    assert it["last_release"]["outcome"] == "rolled_back"


def test_a_release_that_goes_on_is_there_with_its_step_and_weight(url: str, history: History) -> None:
    history.begin("release_shop/r#0", "shop", "release_shop", "r", "1.1.0", "bob")
    at = Progress(at=time.time(), environment="production", step="step_10", weight=10, traffic="10 %")
    history.keep_progress({"release_shop/r#0": at})
    history.observe([sighting(holder="release_shop/r#0", held_until=time.time() + 100)])
    assert "1.1.0 (production: step_10, 10 %)" in ask(url).stdout
    [it] = told(url)
    assert [(one["step"], one["weight"]) for one in it["running"]] == [("step_10", 10)]
    assert it["lease"]["holder"] == "release_shop/r#0"


def test_drift_is_told_with_what_differs(url: str, history: History) -> None:
    drift = Drift(kind="version", since=time.time() - 60, sentence="kubectl put another on stable")
    history.observe([sighting(version=None, drift=[drift], drift_since=drift.since)])
    said = ask(url).stdout
    assert "unknown version (sha256:aaaaaaaaaaaa…)" in said
    assert "kubectl put another on stable" in said
    [it] = told(url)
    assert (it["state"], it["drift"][0]["kind"], it["version"]) == ("drift", "version", None)


def test_old_values_are_marked_and_are_never_ok(url: str, history: History) -> None:
    history.observe([sighting(age=600.0)])
    said = ask(url).stdout
    assert "1.0.0 (old)" in said
    assert "not observed since" in said
    assert "the DAG release_observations is paused" in said
    [it] = told(url)
    assert (it["state"], it["old"]) == ("not_observed", True)


def test_an_app_that_nobody_has_looked_at_is_listed_and_says_why(url: str, history: History) -> None:
    ended(history, "1.0.0", "released")
    [it] = told(url)
    assert (it["state"], it["environment"], it["observed"]) == ("not_observed", None, None)
    assert "nobody has looked yet" in it["why"]
    assert "never" in ask(url).stdout


def test_one_app_or_one_environment(url: str, history: History) -> None:
    history.observe([sighting(), sighting("cart"), sighting(environment="staging")])
    assert {it["app"] for it in told(url, "cart")} == {"cart"}
    assert {(it["app"], it["environment"]) for it in told(url, "--environment", "staging")} == {("shop", "staging")}
    wrong = ask(url, "--environment", "prod")
    assert wrong.exit_code == 1
    assert "expected one of production, staging" in wrong.stderr
    assert ask(url, "shpo").exit_code == 1


def test_an_empty_history_says_so(url: str, history: History) -> None:
    assert ask(url).stdout == "Nothing was observed yet.\n"
    assert told(url) == []
