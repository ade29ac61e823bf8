"""A command of a team's own that writes SARIF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.scanners._sarif import SarifScanner
from release_pipelines.core.model.limits import Limits

pytest.importorskip("release_pipelines.core.sarif", reason="not run: nothing here reads SARIF")

RULE = {"id": "py/sqli", "defaultConfiguration": {"level": "error"}, "properties": {"security-severity": "9.8"}}
RESULT = {"ruleIndex": 0, "message": {"text": "bad"}}


def report(results: list[Any], **more: Any) -> str:
    run = {"tool": {"driver": {"name": "codeql", "rules": [RULE]}}, "results": results, **more}
    return json.dumps({"version": "2.1.0", "runs": [run]})


def scanner(folder: Path, script: str) -> SarifScanner:
    return SarifScanner("codeql", ["sh", "-c", script], "out/result.sarif")


def writes(text: str, code: int = 0) -> str:
    return f"mkdir -p out; cat >out/result.sarif <<'E'\n{text}\nE\nexit {code}"


def test_its_findings_are_read(tmp_path: Path) -> None:
    result = scanner(tmp_path, writes(report([RESULT]), 1)).scan(tmp_path, "Dockerfile")
    assert (result.status, [it.severity for it in result.findings]) == ("findings", ["critical"])
    assert scanner(tmp_path, writes(report([]))).scan(tmp_path, "Dockerfile").status == "clean"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 0", "it wrote no report"),
        (writes(""), "its report is empty"),
        (writes("{"), "no SARIF"),
        (writes(report([]), 1), "it ended with exit code 1"),
        (writes(report([RESULT]), 2), "it ended with exit code 2"),
        (writes(report([], invocations=[{"executionSuccessful": False}])), "it did not end well"),
        ("sleep 100", "it took longer than 2 s"),
    ],
)
def test_what_has_not_looked_is_unknown(script: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.sarif").write_text(report([]))  # committed, or of an earlier run
    limits = Limits(timeout=2 if script.startswith("sleep") else 60)
    result = scanner(tmp_path, script).within(limits).scan(tmp_path, "Dockerfile")
    assert (result.status, why in result.sentence) == ("unknown", True), result.sentence


def test_a_command_that_is_missing_is_unknown(tmp_path: Path) -> None:
    it = SarifScanner("codeql", ["no-such-command"], "a.sarif")
    assert it.missing() == "the command no-such-command is missing on this worker"
    assert it.scan(tmp_path, "Dockerfile").status == "unknown"


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.sarif", "link/a.sarif"])
def test_a_report_outside_of_the_source_is_neither_removed_nor_read(path: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "a.sarif").write_text(report([]))
    (source / "link").symlink_to(tmp_path)
    result = SarifScanner("codeql", ["true"], path).scan(source, "Dockerfile")
    assert (result.status, "inside of the source" in result.sentence) == ("unknown", True)
    assert (tmp_path / "a.sarif").exists()


CYCLONEDX = json.dumps(
    {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [
            {"type": "library", "name": "a", "version": "1", "purl": "pkg:npm/a@1", "licenses": [{"expression": "MIT"}]}
        ],
    }
)
PIP_LICENSES = json.dumps([{"Name": "a", "Version": "1", "License": "MIT License"}])


@pytest.mark.parametrize(("text", "purl"), [(CYCLONEDX, "pkg:npm/a@1"), (PIP_LICENSES, "pkg:pypi/a@1")])
def test_a_list_of_components_tells_their_licences(text: str, purl: str, tmp_path: Path) -> None:
    result = scanner(tmp_path, writes(text)).scan(tmp_path, "Dockerfile")
    assert [(it.kind, it.rule, it.component) for it in result.findings] == [("licence", "MIT", purl)], result.sentence
    assert result.sentence == "codeql lists 1 component with their licences."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "lists no component"),
        ('{"bomFormat": "CycloneDX", "components": []}', "lists no component"),
        ('{"bomFormat": "CycloneDX", "components": 7}', "cannot be read"),
        ('[{"name": "a"}]', "`License` is expected"),
    ],
)
def test_a_list_that_is_none_or_empty_is_unknown(text: str, why: str, tmp_path: Path) -> None:
    result = scanner(tmp_path, writes(text)).scan(tmp_path, "Dockerfile")
    assert result.status == "unknown"
    assert why in result.sentence
