"""People steer a running release, and go back after one: signed in to Airflow, and in a terminal."""

from __future__ import annotations

import pytest

from include.sandbox.settings import SandboxError
from tests.end_to_end.conftest import Sandbox

LONG = {"hold": "5m"}
CANARY = {"steps": [{"weight": 10, **LONG}, {"weight": 50, **LONG}], "bake": "5m", "retire_after": "5s"}
LONG_HOLDS = {"strategy": {"canary": CANARY}}
"""Longer than the tests wait: what ends such a hold is a person."""


def test_a_canary_is_paused_resumed_and_hurried_by_people(sandbox: Sandbox) -> None:  # R6, R10, R13
    sandbox.strategy("canary", LONG_HOLDS)
    version = sandbox.other()
    run = sandbox.begin(version)

    run.until_task("production.step_10")
    run.until(lambda: sandbox.observe().weight("canary") == 10)
    with pytest.raises(SandboxError, match=f"alice may not skip {version}"):
        sandbox.type_command(run, "skip", "alice")
    for pause, resume in ((sandbox.command, sandbox.type_command), (sandbox.type_command, sandbox.command)):
        pause(run, "pause", "carol", "lunch")
        note = sandbox.observe().route.note  # type: ignore[union-attr]
        assert note.paused_at is not None
        resume(run, "resume", "alice")
        note = sandbox.observe().route.note  # type: ignore[union-attr]
        assert note.paused_at is None
        assert note.paused_for > 0
    sandbox.command(run, "skip", "bob", "enough seen")

    run.until_task("production.step_50")
    run.until(lambda: sandbox.observe().weight("canary") == 50)
    sandbox.type_command(run, "skip", "carol")

    run.until_task("production.bake")
    run.until(lambda: sandbox.observe().weight("canary") == 100)
    sandbox.command(run, "promote", "bob")
    run.until(lambda: run.ended)
    assert run.state == "success", sandbox.history(run)["sentence"]
    assert "bob" in sandbox.history(run)["sentence"]
    assert sandbox.serves() == version


def test_a_release_that_a_person_promotes_in_a_terminal_takes_over_at_once(sandbox: Sandbox) -> None:  # R13
    sandbox.strategy("blue_green", {"strategy": {"blue_green": {"bake": "5m", "retire_after": "5s"}}})
    version = sandbox.other()
    run = sandbox.begin(version)
    run.until_task("production.bake")
    run.until(lambda: sandbox.observe().weight("preview") == 100)
    sandbox.type_command(run, "promote", "bob", "all is well")
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert run.state == "success", entry["sentence"]
    assert "bob" in entry["sentence"]
    assert "all is well" in entry["sentence"]
    assert sandbox.serves() == version


def test_a_canary_that_a_signed_in_user_aborts_gives_its_traffic_back(sandbox: Sandbox) -> None:  # R4
    sandbox.strategy("canary", LONG_HOLDS)
    before = sandbox.serves()
    run = sandbox.begin(sandbox.other())
    run.until_task("production.step_10")
    run.until(lambda: sandbox.observe().weight("canary") == 10)
    sandbox.command(run, "abort", "alice", "wrong prices")
    assert sandbox.observe().weight("canary") == 0
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert (run.state, entry["outcome"]) == ("failed", "aborted"), entry["sentence"]
    assert "alice: wrong prices" in entry["sentence"]
    assert run.note == entry["sentence"]
    assert sandbox.serves() == before


def test_a_rolling_release_that_is_aborted_in_a_terminal_is_rolled_back(sandbox: Sandbox) -> None:  # R4, R8
    sandbox.strategy("rolling", {"strategy": {"rolling": {"batches": [50], **LONG, "bake": "5m"}}})
    before = sandbox.serves()
    run = sandbox.begin(sandbox.other())
    run.until_task("production.batch_50")
    run.until(lambda: sandbox.observe().route.note.step == "batch_50")  # type: ignore[union-attr]
    sandbox.type_command(run, "abort", "carol", "wrong prices")
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert (run.state, entry["outcome"]) == ("failed", "aborted"), entry["sentence"]
    assert "carol: wrong prices" in entry["sentence"]
    assert sandbox.serves() == before


def test_a_person_goes_back_after_a_good_release(sandbox: Sandbox) -> None:  # R8
    before, version = sandbox.serves(), sandbox.other()
    released = sandbox.release(version)
    assert released.state == "success", sandbox.history(released)["sentence"]
    run = sandbox.roll_back("carol", "customers complain")
    entry = sandbox.history(run)
    assert (run.state, entry["outcome"]) == ("success", "rolled_back"), entry["sentence"]
    assert "carol: customers complain" in entry["sentence"]
    assert sandbox.serves() == before
    assert sandbox.history(released)["outcome"] == "released"  # it was, and stays told so
