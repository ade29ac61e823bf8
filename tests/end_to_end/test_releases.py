"""Releases as people see them: good, rejected, aborted, bad."""

from __future__ import annotations

from pathlib import Path

from sandbox import demo
from tests.end_to_end import browser
from tests.end_to_end.conftest import APP, CONTROL_DAG, FINISHED, QUICK, Run, Sandbox
from tests.end_to_end.test_people import CANARY

WATCHED = {"steps": [{"weight": 10, "hold": "30s"}, {"weight": 50, "hold": "8s"}], "bake": "8s", "retire_after": "2s"}
"""Its first step lasts until it was looked at from everywhere, on a busy machine, too."""
HELD = ("production.step_10", "production.step_50", "production.bake", "production.promote", "production.hold_lease")


def test_the_first_release_ends_as_released_and_its_note_says_so(sandbox: Sandbox, serving: Run) -> None:  # R9, R17
    assert serving.state == "success", serving.look()
    assert sandbox.history(serving)["outcome"] == "released"
    assert serving.note == "Released 1.0.0: it serves all traffic in production and held."


def reject_in_the_browser(run: Run, version: str, screenshots: Path) -> None:
    """As bob, who sees what changes."""
    with browser.signed_in("bob") as page:
        page.goto(browser.run_page(run.run_id))
        page.get_by_text("rollback").first.wait_for()
        page.screenshot(path=screenshots / "graph.png")
        page.goto(browser.run_page(run.run_id, "/tasks/approval/required_actions"))
        page.get_by_text(f"Release storefront {version} to production?").first.wait_for()
        page.get_by_text("sha256:").first.wait_for()
        page.screenshot(path=screenshots / "approval.png", full_page=True)
        page.get_by_role("button", name="Reject").click()
        run.until(lambda: run.look()["approval"] == "failed")


def test_a_rejected_release_leaves_production_alone_and_staging_goes_back(
    sandbox: Sandbox, tmp_path: Path
) -> None:  # R10
    sandbox.strategy("canary")
    before, staging, version = sandbox.observe().route, sandbox.serves("staging"), sandbox.other()
    run = sandbox.start(version)
    run.until(lambda: run.asks)
    assert sandbox.serves("staging") == version
    if browser.CHROMIUM:
        reject_in_the_browser(run, version, tmp_path)
    else:
        run.answer("bob", "Reject")
    run.until(lambda: run.ended)
    assert run.state == "failed"
    assert sandbox.history(run)["outcome"] == "rejected"
    assert sandbox.observe().route == before
    assert sandbox.serves("staging") == staging


def test_a_release_that_a_person_ends_in_mid_canary_returns_the_traffic(sandbox: Sandbox) -> None:  # R6
    sandbox.strategy("canary", {**QUICK, "strategy": {"canary": CANARY}})
    before = sandbox.serves()
    run = sandbox.start(sandbox.other())
    run.until(lambda: run.asks)
    run.answer("carol", "Approve")
    run.until(lambda: sandbox.observe().weight("canary") == 10)
    run.until_task("production.step_10")
    run.mark("failed")
    run.until(lambda: run.look().get("outcome") in FINISHED and run.ended)
    assert run.state == "failed"
    sandbox.at_rest()
    assert sandbox.serves() == before
    entry = sandbox.history(run)
    assert entry["outcome"] == "aborted"
    assert f"traffic is back on {before}" in entry["sentence"]

    # Clearing a task of a release that has ended releases nothing (R1).
    run.clear("production.canary_deploy")
    run.until(lambda: run.state == "running")
    run.until(lambda: run.ended)
    assert run.state == "failed"
    assert sandbox.serves() == before


def test_a_bad_version_goes_back_at_once_and_the_run_says_why(sandbox: Sandbox) -> None:  # R4, R8
    sandbox.strategy("canary", QUICK)
    before = sandbox.serves()
    run = sandbox.release("1.2.0")
    assert run.state == "failed"
    entry = sandbox.history(run)
    assert entry["outcome"] == "rolled_back", entry
    assert "limit 1 %" in entry["sentence"]
    assert run.note == entry["sentence"]
    assert sandbox.serves() == before


def test_a_command_that_is_refused_is_answered_in_its_runs_note(sandbox: Sandbox, serving: Run) -> None:  # R12
    control = Run(CONTROL_DAG, {"app": APP, "action": "pause"}, "alice")
    control.until(lambda: control.ended)
    assert control.state == "failed"
    assert control.note == f"{APP}: No release is running: there is nothing to pause."
    log = control.log("control")
    assert control.note in log
    assert "Traceback" not in log
    assert "Task failed with exception" not in log


def test_a_good_version_takes_over_and_its_waits_hold_no_worker(sandbox: Sandbox) -> None:  # R18
    sandbox.strategy("canary", {**QUICK, "strategy": {"canary": WATCHED}})
    version = sandbox.other()
    run = sandbox.begin(version)
    run.until_task("production.step_10")
    run.until(lambda: "Measured:" in run.log("production.step_10") or run.ended)
    assert run.look()["production.step_10"] == "deferred", "its log says only at its end what is measured"
    run.until(lambda: "step_10: the canary has 10 % of the traffic" in (run.note or "") or run.ended)
    told = demo.ask("show", APP)["progress"]
    assert (told["step"], told["weight"]) == ("step_10", 10)
    run.until(lambda: run.ended)
    assert run.state == "success", sandbox.history(run)
    assert sandbox.serves() == version
    assert run.note == sandbox.history(run)["sentence"]
    # The waits are deferred: `running` is only the moment before and after. The approval is answered at once.
    for task in ("approval", *HELD):
        states = [look.get(task) for look in run.seen]
        assert "deferred" in states, task
        few = task == "approval" or states.count("deferred") < 4
        assert few or states.count("running") < states.count("deferred"), task
