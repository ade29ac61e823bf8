"""Whole releases by blue-green and by rolling: good, bad, and broken ones (R9)."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.observation import Answer
from tests.fakes import GOOD, NEW, FakePlatform
from tests.pipeline.conftest import BLUE_GREEN, ROLLING, Releases, moves

blue_green = pytest.mark.parametrize("releases", [BLUE_GREEN], indirect=True, ids=["blue_green"])
rolling = pytest.mark.parametrize("releases", [ROLLING], indirect=True, ids=["rolling"])
both = pytest.mark.parametrize("releases", [BLUE_GREEN, ROLLING], indirect=True, ids=["blue_green", "rolling"])


EVERY_STEP = """
strategy:
  canary:
    steps:
      - {match: {header: X-Tester, value: "yes"}, hold: 200ms}
      - {weight: 10, hold: 200ms}
      - {verify: {command: [python3, check.py]}}
      - {approval: {}}
    bake: 200ms
    retire_after: 50ms
"""
every_step = pytest.mark.parametrize("releases", [EVERY_STEP], indirect=True, ids=["every_step"])


@every_step
def test_testers_a_check_and_a_person_come_before_all_traffic(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    for stage in ("testers_1", "step_10", "verify_3", "approval_4", "bake"):
        assert done.states[f"production.{stage}"] == "success", stage
    assert "run" in releases.production.calls


@every_step
def test_a_person_who_says_no_in_the_middle_sends_it_back(releases: Releases) -> None:  # R10
    releases.runs("1.0.0")
    releases.when(lambda world: world.note.step == "step_10", lambda: setattr(releases, "answer", "Reject"))
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert done.sentence == "Rolled back 1.1.0 at 10 %: bob rejected it, traffic is back on 1.0.0."
    assert set(releases.production.tracks) == {"stable"}


@every_step
def test_a_check_that_fails_sends_it_back(releases: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(*_: Any) -> str:
        raise PlatformError("The check ended with exit code 1: 3 of 9 prices are wrong.")

    releases.runs("1.0.0")
    releases.when(lambda world: world.note.step == "step_10", lambda: monkeypatch.setattr(FakePlatform, "run", run))
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert "3 of 9 prices are wrong" in done.sentence
    assert set(releases.production.tracks) == {"stable"}


@both
def test_a_good_version_is_released(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert set(releases.production.tracks) == {"stable"}
    assert releases.production.tracks["stable"].digest == NEW
    assert releases.production.note.done
    assert releases.production.lease is None


@both
def test_a_bad_version_is_rolled_back(releases: Releases) -> None:  # R4, R8, R13
    releases.runs("1.0.0")
    releases.outside.bad = 0.05
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert "error rate 5 %" in done.sentence
    assert done.sentence.endswith("traffic is back on 1.0.0.")
    assert set(releases.production.tracks) == {"stable"}
    assert releases.production.tracks["stable"].digest == GOOD
    assert releases.production.lease is None


@both
def test_a_first_release_is_deployed_checked_and_given_all_traffic(releases: Releases) -> None:  # R17
    done = releases.release("1.0.0")
    assert (done.state, done.outcome) == ("success", "released"), done.sentence
    assert set(releases.production.tracks) == {"stable"}
    assert releases.production.note.last_good


@both
def test_a_version_that_cannot_run_goes_back(releases: Releases) -> None:  # R5, R7
    releases.runs("1.0.0")
    releases.production.broken[NEW] = "keeps ending: exit code 1, restarted 3 times"
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "rolled_back"), done.sentence
    assert "keeps ending: exit code 1, restarted 3 times" in done.sentence
    assert releases.production.tracks["stable"].digest == GOOD
    assert set(releases.production.tracks) == {"stable"}


@blue_green
def test_a_preview_gets_all_traffic_at_once(releases: Releases) -> None:
    releases.runs("1.0.0")
    releases.release("1.1.0")
    assert moves(releases.production, "preview") == [100, 0]


@blue_green
def test_a_preview_that_answers_wrongly_gets_no_traffic(releases: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(*_: Any) -> Answer:
        return Answer(status=500, version="1.1.0")

    releases.runs("1.0.0")
    monkeypatch.setattr(FakePlatform, "ask", ask)
    done = releases.release("1.1.0")
    assert done.outcome == "rolled_back", done.sentence
    assert "/ on the preview: 500 from version 1.1.0; 2xx from version 1.1.0 was expected" in done.sentence
    assert set(moves(releases.production, "preview")) <= {0}
    assert set(releases.production.tracks) == {"stable"}


@rolling
def test_a_rolling_release_is_judged_between_its_batches(releases: Releases) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert done.states["production.batch_50"] == "success"
    assert [done.pushed(f"production.{it}", "verdict")["weight"] for it in ("batch_50", "bake")] == [50, 100]
