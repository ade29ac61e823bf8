"""Blue-green and rolling, good and bad. The canary's releases are in test_releases.py."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import QUICK, Sandbox


@pytest.mark.parametrize("strategy", ["blue_green", "rolling"])
def test_a_bad_version_goes_back_and_the_run_says_why(sandbox: Sandbox, strategy: str) -> None:  # R4, R8, R13
    sandbox.strategy(strategy, QUICK)
    before = sandbox.serves()
    run = sandbox.release("1.2.0")
    entry = sandbox.history(run)
    assert run.state == "failed"
    assert entry["outcome"] == "rolled_back", entry["sentence"]
    assert "limit 1 %" in entry["sentence"]
    assert run.note == entry["sentence"]
    assert sandbox.serves() == before


def test_a_preview_is_asked_before_it_gets_all_traffic_and_a_person_can_go_back_later(
    sandbox: Sandbox,
) -> None:  # R5, R8
    short = {"bake": "10s", "retire_after": "1s"}  # nothing is wrong with this version
    sandbox.strategy("blue_green", {**QUICK, "strategy": {"blue_green": short}})
    before, version = sandbox.serves(), sandbox.other()
    run = sandbox.begin(version)
    shares = []
    run.until(lambda: shares.append(sandbox.observe().weight("preview")) or run.ended)
    assert run.state == "success", sandbox.history(run)["sentence"]
    assert set(shares) == {0, 100}
    assert any(look.get("production.preview_test") == "success" for look in run.seen)
    assert sandbox.serves() == version

    back = sandbox.roll_back("carol", "customers complain")
    entry = sandbox.history(back)
    assert (back.state, entry["outcome"]) == ("success", "rolled_back"), entry["sentence"]
    assert "carol: customers complain" in entry["sentence"]
    assert sandbox.serves() == before
    assert sandbox.history(run)["outcome"] == "released"  # it was, and stays told so


def test_a_rolling_release_replaces_replicas_batch_by_batch_and_a_person_cuts_its_bake_short(
    sandbox: Sandbox,
) -> None:  # R7, R13
    sandbox.strategy("rolling", {**QUICK, "strategy": {"rolling": {"batches": [50], "hold": "6s", "bake": "5m"}}})
    version = sandbox.other()
    run = sandbox.begin(version)
    run.until_task("production.batch_50")
    run.until_task("production.bake")
    run.until(lambda: sandbox.noted("bake"))
    sandbox.type_command(run, "promote", "bob", "all is well")
    run.until(lambda: run.ended)
    entry = sandbox.history(run)
    assert run.state == "success", entry["sentence"]
    assert "bob" in entry["sentence"]
    assert "all is well" in entry["sentence"]
    assert entry["verdicts"][0]["step"] == "batch_50"
    assert sandbox.serves() == version
