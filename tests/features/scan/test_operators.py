"""Real scanners on real commits."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.adapters.history import open_history
from release_pipelines.airflow.findings import kept_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.findings.rules import Rules
from release_pipelines.core.model.finding import Finding, ScanResult
from release_pipelines.features.scan.operators import ScanOperator
from tests.features.helpers import Ti
from tests.repositories import commit

GOOD_DOCKERFILE = 'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nCMD ["python3", "server.py"]\n'
BAD_DOCKERFILE = "FROM python:3.12-slim\nWORKDIR app\nRUN cd /tmp && ls\n"
BAD_CODE = "import subprocess\n\ndef run(name):\n    subprocess.call('ls ' + name, shell=True)\n"

PATHS = (None, str(Path(sys.executable).parent))
needs = {
    name: pytest.mark.skipif(
        not any(shutil.which(name, path=path) for path in PATHS), reason=f"{name} is not installed"
    )
    for name in ("hadolint", "bandit")
}


@pytest.fixture
def scan(tmp_path: Path) -> Callable[..., tuple[Any, Ti]]:
    """Commits files and scans them; gives what the operator returns, or how it fails, and what it pushed."""

    def scanned(files: dict[str, str], scanner: Any, **kwargs: Any) -> tuple[Any, Ti]:
        made = commit(tmp_path / "shop", files)
        ti = Ti()
        operator = ScanOperator(
            task_id="scan", scanner=scanner, repository=str(tmp_path / "shop"), commit=made, **kwargs
        )
        try:
            return operator.execute({"ti": ti}), ti  # type: ignore[arg-type,typeddict-item]
        except AirflowFailException as error:
            return error, ti

    return scanned


class Canned:
    """A scanner that has its answer ready."""

    name = "canned"

    def __init__(self, result: ScanResult) -> None:
        self.result = result

    def missing(self) -> str | None:
        return None

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        return self.result


@needs["hadolint"]
def test_a_clean_dockerfile_goes_through(scan: Callable[..., tuple[Any, Ti]]) -> None:
    result, _ = scan({"Dockerfile": GOOD_DOCKERFILE}, "hadolint")
    assert result == {
        "scanner": "hadolint",
        "status": "clean",
        "sentence": "hadolint found nothing.",
        "counts": {"low": 0, "medium": 0, "high": 0, "critical": 0},
    }


@needs["hadolint"]
def test_a_bad_dockerfile_stops_the_release_and_says_why(scan: Callable[..., tuple[Any, Ti]]) -> None:  # R12
    failure, ti = scan({"Dockerfile": BAD_DOCKERFILE}, "hadolint")
    assert "hadolint found 1 high (findings from high on stop the release), like DL3000 in Dockerfile:2" in str(failure)
    assert ti.pushed["reason"] == str(failure)
    assert ti.pushed["result"]["counts"] == {"low": 0, "medium": 1, "high": 1, "critical": 0}


@needs["hadolint"]
def test_what_is_not_bad_enough_is_reported_only(scan: Callable[..., tuple[Any, Ti]]) -> None:
    files = {"app/Dockerfile.prod": GOOD_DOCKERFILE + "RUN cd /tmp && ls\n"}
    result, _ = scan(files, "hadolint", context="app", dockerfile="Dockerfile.prod")
    assert result["status"] == "findings"
    assert result["sentence"] == "hadolint found 1 medium."


@needs["hadolint"]
def test_a_dockerfile_that_is_not_there_is_unknown(scan: Callable[..., tuple[Any, Ti]]) -> None:
    failure, ti = scan({"README": "x"}, "hadolint")
    assert str(failure).startswith("unknown: hadolint could not look")
    assert ti.pushed["result"]["status"] == "unknown"


@needs["bandit"]
def test_dangerous_code_stops_the_release(scan: Callable[..., tuple[Any, Ti]]) -> None:
    failure, ti = scan({"run.py": BAD_CODE}, "bandit")
    assert "B602 in run.py:4" in str(failure)
    assert ti.pushed["result"]["counts"]["high"] == 1


@needs["bandit"]
def test_code_without_findings_is_clean_and_tests_may_assert(scan: Callable[..., tuple[Any, Ti]]) -> None:
    files = {"good.py": "print('hello')\n", "test_good.py": "assert 1\n", "tests/test_more.py": "assert 1\n"}
    result, _ = scan(files, "bandit", block_on="low")
    assert result["status"] == "clean"


@needs["bandit"]
def test_code_that_cannot_be_parsed_is_unknown(scan: Callable[..., tuple[Any, Ti]]) -> None:
    failure, ti = scan({"broken.py": "def (:\n"}, "bandit")
    assert str(failure).startswith("unknown: bandit could not look, because broken.py:1 cannot be parsed by Python 3.")
    assert str(failure).endswith(
        "on the worker (invalid syntax); what is not to be looked at stands in `scan.exclude`."
    )
    assert ti.pushed["result"]["status"] == "unknown"


@needs["bandit"]
def test_what_is_left_out_is_not_looked_at_and_counted(scan: Callable[..., tuple[Any, Ti]]) -> None:
    files = {
        "good.py": "print(1)\n",
        "templates/a.py": "{{ x }}\n",
        "old/b.py": 'print "x"\n',
        "old/c/d.py": "{% x %}\n",
    }
    result, _ = scan(files, "bandit", exclude=["/templates/*.py", "old/"])
    assert (result["status"], result["sentence"]) == ("clean", "bandit found nothing, with 3 files left out.")


@needs["hadolint"]
def test_a_heredoc_without_a_blank_line_after_it_is_looked_at(scan: Callable[..., tuple[Any, Ti]]) -> None:
    heredoc = "RUN <<EOF\nset -e\nls\nEOF\nWORKDIR app\n"
    failure, _ = scan({"Dockerfile": f"FROM python:3.12-slim\n{heredoc}"}, "hadolint")
    assert "hadolint found 1 high" in str(failure)
    assert "like DL3000 in Dockerfile:6" in str(failure)


@needs["hadolint"]
def test_what_hadolint_cannot_parse_is_unknown_and_no_finding(scan: Callable[..., tuple[Any, Ti]]) -> None:
    failure, ti = scan({"Dockerfile": "FROM python:3.12-slim\nCOPPY . .\n"}, "hadolint")
    why = "it cannot parse Dockerfile:2 (unexpected 'C'): correct the Dockerfile"
    assert str(failure).startswith(f"unknown: hadolint could not look, because {why}")
    assert "`scan.scanners`" in str(failure)
    assert ti.pushed["result"]["status"] == "unknown"
    assert ti.pushed["result"]["counts"]["high"] == 0


def test_a_scanner_of_ones_own(scan: Callable[..., tuple[Any, Ti]]) -> None:
    finding = Finding(severity="medium", rule="X1", file="a", line=1, text="Bad.")
    found = Canned(ScanResult(status="findings", findings=[finding], sentence="canned found 1 medium."))
    assert scan({"a": "1"}, found)[0]["status"] == "findings"
    failure, _ = scan({"a": "2"}, found, block_on="medium")
    assert str(failure).endswith("like X1 in a:1: Bad.")


def test_an_exception_lets_one_rule_pass_in_one_file_until_its_day(scan: Callable[..., tuple[Any, Ti]]) -> None:
    finding = Finding(severity="high", rule="X1", file="a", line=1, text="Bad.")
    found = Canned(ScanResult(status="findings", findings=[finding], sentence="canned found 1 high."))
    told = {"id": "X1", "component": "a", "reason": "not reached", "until": "2999-12-31", "who": "ada"}
    result, _ = scan({"a": "1"}, found, rules=Rules.model_validate({"exceptions": [told]}))
    assert result["sentence"] == "canned found 1 high, 1 excepted."
    for other in ({"component": "b"}, {"id": "X2"}, {"until": "2020-01-01"}):
        failure, _ = scan({"a": "1"}, found, rules=Rules.model_validate({"exceptions": [{**told, **other}]}))
        assert "canned found 1 high (findings from high on stop the release), like X1 in a:1: Bad" in str(failure)


def test_licences_and_what_the_world_knows_of_flaws_are_left_to_the_gate_behind_all_scanners(
    scan: Callable[..., tuple[Any, Ti]],
) -> None:
    licence = Finding(kind="licence", severity="low", rule="GPL-3.0-only", component="pkg:npm/a@1", text="Its licence.")
    found = Canned(ScanResult(status="findings", findings=[licence], sentence="canned found 1 low."))
    asked = {"block_on": "low", "licences": {"allow": ["MIT"]}, "known_exploited": "/gone.json"}
    assert scan({"a": "1"}, found, rules=Rules.model_validate(asked))[0]["status"] == "findings"


def test_what_is_found_is_kept_with_the_release(
    scan: Callable[..., tuple[Any, Ti]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    history.begin("release_shop/now#0", "shop", "release_shop", "now", "1.0.0", "carol")
    monkeypatch.setattr(HistoryHook, "history", lambda self: history)
    unknown = ScanResult(status="unknown", sentence="unknown: canned could not look.")
    scan({"a": "1"}, Canned(unknown), release="release_shop/now#0")
    assert kept_results(history, "release_shop/now#0") == {"canned": [unknown]}
