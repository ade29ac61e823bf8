"""SARIF: read as the standard has it, and written so that others and this package read it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.core.findings.comparison import Serving
from release_pipelines.core.findings.judgement import judge
from release_pipelines.core.model.finding import SEVERITIES, Finding
from release_pipelines.core.sarif import read, write
from tests.core.findings.findings import NOW, A, B, code, exemption, flaw, found, rules, unknown

TOOLS = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
DRIVER = {
    "name": "it",
    "rules": [
        {
            "id": "py/sqli",
            "guid": "g",
            "defaultConfiguration": {"level": "error"},
            "properties": {"security-severity": "9.8"},
        },
        {"id": "B101"},
    ],
}
EXTENSION = {"name": "more", "rules": [{"id": "X1", "defaultConfiguration": {"level": "note"}}]}


def report(*results: dict[str, Any], **run: Any) -> str:
    told = [{"message": {"text": "Bad."}, **it} for it in results]
    runs = [{"tool": {"driver": DRIVER, "extensions": [EXTENSION]}, "results": told, **run}]
    return json.dumps({"version": "2.1.0", "runs": runs})


def severities(*results: dict[str, Any], **run: Any) -> list[str]:
    return [it.severity for it in read(report(*results, **run), "it").findings]


def test_a_result_without_a_level_has_that_of_its_rule_and_the_gate_blocks() -> None:
    results = [
        {"ruleIndex": 0},
        {"ruleId": "B101/2"},
        {"ruleId": "gone"},
        {"rule": {"index": 0, "toolComponent": {"index": 0}}},
    ]
    assert severities(*results) == ["critical", "medium", "medium", "low"]
    scanned = read(report(*results), "it")
    assert [it.rule for it in scanned.findings] == ["py/sqli", "B101/2", "gone", "X1"]
    assert not judge({"it": [scanned]}, rules(block_on="high"), NOW).passes


@pytest.mark.parametrize(
    ("result", "severity"),
    [
        ({"level": "error", "ruleId": "B101"}, "high"),
        ({"level": "note", "ruleIndex": 0}, "critical"),
        ({"ruleId": "X1"}, "low"),
        ({"ruleId": "X1/a/b"}, "low"),
        ({"rule": {"guid": "g"}}, "critical"),
        ({"rule": {"id": "X1", "toolComponent": {"name": "more"}}}, "low"),
        ({"ruleId": "py/sqli/3"}, "critical"),
        ({"ruleIndex": 7, "ruleId": "X1"}, "low"),
        ({"ruleIndex": -1, "ruleId": "B101"}, "medium"),
        ({"ruleId": "B101", "properties": {"security-severity": "7.0"}}, "high"),
        ({"ruleId": "B101", "properties": {"security-severity": "n/a"}}, "unknown"),
        ({"ruleId": "B101", "level": "odd"}, "unknown"),
        ({"ruleId": "B101", "kind": "review"}, "unknown"),
        ({"ruleId": "B101", "kind": "open", "level": "none"}, "unknown"),
        ({"ruleId": "B101", "kind": "fail", "level": "none"}, "low"),
    ],
)
def test_where_a_severity_comes_from(result: dict[str, Any], severity: str) -> None:
    assert severities(result) == [severity]


@pytest.mark.parametrize("descriptor", [{"id": "B101"}, {"index": 1}, {"index": 1, "id": "B101"}])
def test_an_invocation_may_override_the_level_of_a_rule(descriptor: dict[str, Any]) -> None:
    override = {"descriptor": descriptor, "configuration": {"level": "error"}}
    run = {"invocations": [{"executionSuccessful": True, "ruleConfigurationOverrides": [override]}]}
    assert severities({"ruleId": "B101", "provenance": {"invocationIndex": 0}}, **run) == ["high"]
    assert severities({"ruleId": "B101"}, **run) == ["medium"]


@pytest.mark.parametrize(
    "result",
    [
        {"kind": "pass"},
        {"kind": "notApplicable"},
        {"baselineState": "absent"},
        {"suppressions": [{"kind": "inSource"}]},
    ],
)
def test_what_was_not_found_or_is_accepted_in_the_code_is_no_finding(result: dict[str, Any]) -> None:
    assert read(report({"ruleIndex": 0, **result}), "it").status == "clean"


@pytest.mark.parametrize("status", ["underReview", "rejected"])
def test_a_suppression_that_nobody_has_accepted_suppresses_nothing(status: str) -> None:
    assert severities({"ruleIndex": 0, "suppressions": [{"kind": "external", "status": status}]}) == ["critical"]


def test_where_a_finding_is_and_what_is_said() -> None:
    place = {"physicalLocation": {"artifactLocation": {"index": 0}, "region": {"startLine": 7}}}
    run = {"artifacts": [{"location": {"uri": "./app/a%20b.py"}}]}
    (one,) = read(report({"ruleId": "B101", "locations": [place]}, **run), "it").findings
    assert (one.file, one.line, one.text) == ("app/a b.py", 7, "Bad.")


def test_a_message_may_stand_in_the_rule() -> None:
    rule = {"id": "R", "messageStrings": {"m": {"text": "{0} is bad"}}}
    run = {"tool": {"driver": {"name": "it", "rules": [rule]}}}
    (one,) = read(report({"ruleId": "R", "message": {"id": "m", "arguments": ["eval"]}}, **run), "it").findings
    assert one.text == "eval is bad"


FAILED = {"executionSuccessful": False}
NOTED = {
    "executionSuccessful": True,
    "toolExecutionNotifications": [{"level": "error", "message": {"text": "big.py: timeout"}}],
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no SARIF"),
        ("{}", "no SARIF"),
        ("[]", "no SARIF"),
        ('{"version": "2.1.0", "runs": [{}]}', "no results"),
        ('{"version": "2.1.0", "runs": []}', "no runs"),
        ('{"version": "2.0.0", "runs": []}', "SARIF 2.0.0"),
        (report(results=None), "no results"),
        (report(invocations=[FAILED]), "did not end well"),
        (report(invocations=[NOTED]), "big.py: timeout"),
        (report(externalPropertyFileReferences={"results": [{}]}), "in other files"),
        (report({"ruleIndex": 0, "locations": [3]}), "no SARIF"),
    ],
)
def test_a_report_that_does_not_say_all_is_unknown(text: str, said: str) -> None:
    scanned = read(text, "codeql")
    assert scanned.status == "unknown"
    assert scanned.sentence.startswith("unknown: codeql could not look, because")
    assert said in scanned.sentence


def test_an_empty_list_of_results_is_clean() -> None:
    assert read(report(), "it").sentence == "it found nothing."


SECRET = Finding(kind="secret", severity="high", rule="npm-token", file=".npmrc", line=1, text="npm_s3cr3t")


def test_no_text_of_a_secret_is_read() -> None:
    (one,) = read(report({"ruleId": "B101", "message": {"text": "found s3cr3t"}}), "gitleaks", kind="secret").findings
    assert (one.text, one.severity) == ("B101", "high")


def written(results: dict[str, Any], asked: Any = None, serving: Serving | None = None) -> Any:
    return json.loads(write(judge(results, asked or rules(), NOW, serving=serving)))["runs"][0]


def test_no_text_of_a_secret_is_written() -> None:
    judged = judge({"gitleaks": [found(SECRET)]}, rules(), NOW)
    assert "s3cr3t" not in write(judged)
    assert "s3cr3t" not in judged.sentence("gitleaks")
    assert "npm-token in .npmrc:1" in judged.sentence("gitleaks")


def test_what_is_excepted_new_and_fixed_is_told_as_the_standard_has_it() -> None:
    serving = Serving("1.0.0", {"trivy": [found(flaw("CVE-1", A), flaw("CVE-3", A))]})
    results = {"trivy": [found(flaw("CVE-1", A), flaw("CVE-2", B))]}
    run = written(results, rules(exceptions=[exemption("CVE-2", B)]), serving)
    states = {it["ruleId"]: (it["baselineState"], len(it.get("suppressions", []))) for it in run["results"]}
    assert states == {"CVE-1": ("unchanged", 0), "CVE-2": ("new", 1), "CVE-3": ("absent", 0)}
    (two,) = (it for it in run["results"] if it["ruleId"] == "CVE-2")
    assert two["suppressions"][0]["justification"] == "scan.exceptions[0]: not reached (ada, until 2026-12-31)"


def test_what_could_not_be_looked_at_makes_the_report_one_that_is_not_whole() -> None:
    text = write(judge({"trivy": [unknown()]}, rules(), NOW))
    assert read(text, "it").sentence == "unknown: it could not look, because it did not end well, by its own report."


FOUND = st.one_of(
    st.builds(flaw, st.sampled_from(["CVE-1", "a/b"]), st.sampled_from([A, B]), st.sampled_from(SEVERITIES)),
    st.builds(
        code,
        st.sampled_from(["B1", "B2/x"]),
        st.sampled_from(["a.py", "ä b.py"]),
        st.integers(0, 3),
        st.sampled_from(SEVERITIES),
    ),
)


@given(st.lists(FOUND, max_size=6))
def test_what_is_written_is_read_again(findings: list[Finding]) -> None:
    judged = judge({"it": [found(*findings)]}, rules(), NOW)
    again = read(write(judged), "it")
    assert [(it.rule, it.severity, it.file, it.line) for it in again.findings] == [
        (it.flaw.name, it.flaw.severity, it.flaw.first.file, it.flaw.first.line) for it in judged.found
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda it: st.lists(it) | st.dictionaries(st.text(), it)
    )
)
def test_whatever_json_it_is_reading_it_never_raises(value: Any) -> None:
    for text in (
        json.dumps(value),
        json.dumps({"version": "2.1.0", "runs": value}),
        report({"rule": value, "level": value}),
    ):
        assert read(text, "it").status in ("clean", "findings", "unknown")


@pytest.mark.skipif(not shutil.which("hadolint", path=TOOLS), reason="hadolint is not installed")
def test_the_report_of_a_real_linter_is_read(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:3.12-slim\nWORKDIR app\n")
    command = [shutil.which("hadolint", path=TOOLS), "-f", "sarif", "Dockerfile"]
    scanned = read(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout, "hadolint")
    assert [(it.severity, it.rule, it.file, it.line) for it in scanned.findings] == [
        ("high", "DL3000", "Dockerfile", 2)
    ]


@pytest.mark.skipif(not shutil.which("gitleaks", path=TOOLS), reason="gitleaks is not installed")
def test_the_report_of_a_real_scanner_of_secrets_is_read_without_the_secret(tmp_path: Path) -> None:
    key = "AKIA" + "IOSFODNN7REALKEY"
    (tmp_path / "key.py").write_text(f'aws = "{key}"\n')
    command = [shutil.which("gitleaks", path=TOOLS), "dir", ".", "-f", "sarif", "-r", "out.sarif"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    report = (tmp_path / "out.sarif").read_text()
    assert key in report
    scanned = read(report, "gitleaks", kind="secret")
    assert [(it.severity, it.rule, it.file, it.line) for it in scanned.findings] == [
        ("high", "aws-access-token", "key.py", 1)
    ]
    assert key not in scanned.model_dump_json()
