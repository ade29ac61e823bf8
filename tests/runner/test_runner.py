"""The test runner counts truthfully: nothing that did not run may look like something that passed."""

from __future__ import annotations

import signal
import sys
import threading
import time

import pytest

from tests import __main__ as runner

ONE_OF_EACH = """<testsuites><testsuite tests="4" failures="1" errors="1" skipped="1">
<testcase name="a"/><testcase name="b"><skipped message="no engine"/></testcase></testsuite></testsuites>"""
ALL_SKIPPED = """<testsuites><testsuite tests="1" failures="0" errors="0" skipped="1">
<testcase name="a"><skipped message="no engine"/></testcase></testsuite></testsuites>"""
ALL_PASSED = '<testsuites><testsuite tests="3" failures="0" errors="0" skipped="0"/></testsuites>'


def test_failures_and_errors_are_failures_and_skips_are_no_passes() -> None:
    result = runner.counted(ONE_OF_EACH, 1, "")
    assert (result.passed, result.failed, result.skipped) == (1, 2, 1)


def test_a_tier_of_which_all_was_skipped_did_not_run_and_says_why() -> None:
    result = runner.counted(ALL_SKIPPED, 0, "")
    assert runner.line("container host", result, 1) == "container host  did not run: no engine"


def test_a_process_that_died_without_a_report_failed() -> None:
    assert runner.counted(None, -1, "Killed").failed == 1


def test_passes_of_a_process_that_ended_badly_are_not_enough() -> None:
    assert runner.counted(ALL_PASSED, 3, "").failed == 1


def test_a_command_that_takes_too_long_is_ended_with_all_it_started() -> None:
    code, said = runner.ended([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.2)
    assert code != 0
    assert "Ended after" in said


def test_who_interrupts_the_tests_leaves_none_of_them_running() -> None:
    codes: list[int] = []
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    tier = threading.Thread(target=lambda: codes.append(runner.ended(argv, limit=60)[0]))
    tier.start()
    while not runner._running:
        time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt), runner.nothing_left_behind():
        raise KeyboardInterrupt
    tier.join(30)
    assert codes == [-signal.SIGTERM]


def test_help_lists_the_tiers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["--help"])
    said = capsys.readouterr().out
    assert all(tier.name.replace(" ", "_") in said for tier in runner.TIERS)


def test_an_unknown_tier_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["unti"]) == 2
    assert "No tier is called unti" in capsys.readouterr().err


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_in_ci_a_tier_that_must_run_and_did_not_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ci: str, code: int
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.delenv("KUBERNETES_TEST_CONTEXT", raising=False)
    assert runner.main(["kubernetes"]) == code
    said = capsys.readouterr().out
    assert "kubernetes      did not run: KUBERNETES_TEST_CONTEXT is not set" in said
    assert said.splitlines()[-1] == "0 passed, 0 failed"
