"""``release findings``: what of a release's findings stops it, and what is no report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from release_pipelines.adapters.history import History, open_history
from release_pipelines.cli import app
from release_pipelines.core.findings.judgement import judge
from release_pipelines.core.findings.kept import RESULTS
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.sarif import REPORT, write
from tests.core.findings.findings import NOW, B, exemption, flaw, found, rules

RELEASE = "release_shop/one#0"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/history.db"


@pytest.fixture
def history(url: str) -> History:
    made = open_history(url)
    made.begin(RELEASE, "shop", "release_shop", "one", "1.2.0", "alice")
    return made


def ask(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["findings", "shop", "--database", url, *arguments])


def report() -> str:
    findings = [
        flaw("CVE-2026-1"),
        flaw("CVE-2026-2", B),
        flaw("CVE-2026-3", B, "unknown"),
        flaw("CVE-2026-4", B, "low"),
    ]
    return write(judge({"trivy": [found(*findings)]}, rules(exceptions=[exemption()]), NOW))


def test_each_finding_says_what_it_comes_to_for_the_release(history: History, url: str) -> None:
    history.attach(RELEASE, REPORT, "application/sarif+json", report())
    said = ask(url)
    assert said.exit_code == 0
    lines = [line.split() for line in said.stdout.splitlines()]
    assert lines[0][:3] == ["GATE", "SEVERITY", "FINDING"]
    assert {(line[2], line[0]) for line in lines[1:]} == {
        ("CVE-2026-1", "excepted"),
        ("CVE-2026-2", "blocks"),
        ("CVE-2026-3", "unknown"),
        ("CVE-2026-4", "passes"),
    }


def test_where_nothing_was_judged_each_scanner_has_its_say(history: History, url: str) -> None:
    looked = found(flaw("CVE-2026-1"))
    blind = ScanResult(status="unknown", sentence="grype has no database.", not_looked_at=["linux/arm64: no database"])
    history.attach(RELEASE, "scan-trivy.json", "application/json", RESULTS.dump_json([looked]).decode())
    history.attach(RELEASE, "scan-grype.json", "application/json", RESULTS.dump_json([blind]).decode())
    said = ask(url).stdout
    for words in ("no findings that were judged together", "grype: unknown. grype has no database.", "CVE-2026-1"):
        assert words in said
    assert "not looked at: linux/arm64: no database" in said
    told = json.loads(ask(url, "--json").stdout)
    assert told["judged"] is False
    assert told["scanners"]["grype"][0]["status"] == "unknown"


def test_what_scanners_found_is_damaged_and_that_is_said(history: History, url: str) -> None:
    history.attach(RELEASE, "scan-trivy.json", "application/json", "[{")
    said = ask(url)
    assert said.exit_code == 1
    assert "cannot be read" in said.stderr


def test_a_report_of_before_says_what_it_has(history: History, url: str) -> None:
    document = json.loads(report())
    for it in document["runs"][0]["results"]:
        del it["properties"]["gate"]
    history.attach(RELEASE, REPORT, "application/sarif+json", json.dumps(document))
    assert "excepted" in ask(url).stdout


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '"x"',
        "{}",
        '{"runs": []}',
        '{"runs": [{}]}',
        '{"runs": [{"invocations": [], "results": []}]}',
        '{"runs": [{"invocations": [{"toolExecutionNotifications": []}], "results": [{}]}]}',
        '{"runs": [{"invocations": [{"toolExecutionNotifications": []}], "results": [{"properties": {"severity": 7}, '
        '"ruleId": "A", "message": {"text": null}}]}]}',
        "[" * 100_000,
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_damaged_report_is_one_sentence(history: History, url: str, text: str, arguments: tuple[str, ...]) -> None:
    history.attach(RELEASE, REPORT, "application/sarif+json", text)
    said = ask(url, *arguments)
    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr == "The findings of shop 1.2.0 cannot be read: its text findings.sarif is damaged.\n"


def test_without_a_report_a_program_gets_a_sentence_beside_its_output(history: History, url: str) -> None:
    said = ask(url, "--json")
    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr == "shop 1.2.0 has no findings that were judged together.\n"
    assert ask(url).exit_code == 0
