"""People steer a running release: signed in to Airflow, and in a terminal."""

from __future__ import annotations

import pytest

from sandbox.settings import SandboxError
from tests.end_to_end.conftest import QUICK, Sandbox

LONG = {"hold": "5m"}
"""Longer than the tests wait: what ends such a hold is a person."""
CANARY = {"steps": [{"weight": 10, **LONG}, {"weight": 50, **LONG}], "bake": "5m", "retire_after": "1s"}


def test_a_canary_is_paused_resumed_and_hurried_by_people(sandbox: Sandbox) -> None:  # R6, R10, R13
    sandbox.strategy("canary", {**QUICK, "strategy": {"canary": CANARY}})
    version = sandbox.other()
    run = sandbox.begin(version)

    run.until_task("production.step_10")
    run.until(lambda: sandbox.noted("step_10"))
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
    run.until(lambda: sandbox.noted("step_50"))
    sandbox.type_command(run, "skip", "carol")

    run.until_task("production.bake")
    run.until(lambda: sandbox.noted("bake"))
    sandbox.command(run, "promote", "bob")
    run.until(lambda: run.ended)
    assert run.state == "success", sandbox.history(run)["sentence"]
    assert "bob" in sandbox.history(run)["sentence"]
    assert sandbox.serves() == version


def test_a_canary_that_a_signed_in_user_aborts_gives_its_traffic_back(sandbox: Sandbox) -> None:  # R4
    sandbox.strategy("canary", {**QUICK, "strategy": {"canary": CANARY}})
    before = sandbox.serves()
    run = sandbox.begin(sandbox.other())
    run.until_task("production.step_10")
    run.until(lambda: sandbox.noted("step_10"))
    sandbox.command(run, "abort", "alice", "wrong prices")
    assert sandbox.observe().weight("canary") == 0
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert (run.state, entry["outcome"]) == ("failed", "aborted"), entry["sentence"]
    assert "alice: wrong prices" in entry["sentence"]
    assert run.note == entry["sentence"]
    assert sandbox.serves() == before


def test_a_rolling_release_that_is_aborted_in_a_terminal_is_rolled_back(sandbox: Sandbox) -> None:  # R4, R8
    sandbox.strategy("rolling", {**QUICK, "strategy": {"rolling": {"batches": [50], **LONG, "bake": "5m"}}})
    before = sandbox.serves()
    run = sandbox.begin(sandbox.other())
    run.until_task("production.batch_50")
    run.until(lambda: sandbox.noted("batch_50"))
    sandbox.type_command(run, "abort", "carol", "wrong prices")
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert (run.state, entry["outcome"]) == ("failed", "aborted"), entry["sentence"]
    assert "carol: wrong prices" in entry["sentence"]
    assert sandbox.serves() == before
