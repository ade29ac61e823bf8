"""Blue-green and rolling, good and bad. The canary's releases are in test_releases.py."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import Sandbox


@pytest.mark.parametrize("strategy", ["blue_green", "rolling"])
def test_a_bad_version_goes_back_and_the_run_says_why(sandbox: Sandbox, strategy: str) -> None:  # R4, R8, R13
    sandbox.strategy(strategy)
    before = sandbox.serves()
    run = sandbox.release("1.2.0")
    entry = sandbox.history(run)
    assert run.state == "failed"
    assert entry["outcome"] == "rolled_back", entry["sentence"]
    assert "limit 1 %" in entry["sentence"]
    assert run.note == entry["sentence"]
    assert sandbox.serves() == before


def test_a_preview_is_asked_at_its_own_address_before_it_gets_all_traffic(sandbox: Sandbox) -> None:  # R5
    sandbox.strategy("blue_green")
    version = sandbox.other()
    run = sandbox.begin(version)
    shares = []
    run.until(lambda: shares.append(sandbox.observe().weight("preview")) or run.ended)
    assert run.state == "success", sandbox.history(run)["sentence"]
    assert set(shares) == {0, 100}
    assert any(look.get("production.preview_test") == "success" for look in run.seen)
    assert sandbox.serves() == version


def test_a_rolling_release_replaces_replicas_batch_by_batch(sandbox: Sandbox) -> None:  # R7
    sandbox.strategy("rolling")
    version = sandbox.other()
    run = sandbox.begin(version)
    run.until_task("production.batch_50")
    run.until(lambda: run.ended)
    assert run.state == "success", sandbox.history(run)["sentence"]
    assert [it["step"] for it in sandbox.history(run)["verdicts"]] == ["batch_50", "bake"]
    assert sandbox.serves() == version
