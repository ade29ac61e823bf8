"""Findings and results for tests of the judgement over them."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

from release_pipelines.core.findings.rules import Exemption, Rules
from release_pipelines.core.model.finding import Finding, ScanResult

NOW = datetime(2026, 11, 27, 12, tzinfo=timezone.utc).timestamp()
GRAFANA = "pkg:golang/github.com/grafana/grafana@12.0.0"
A, B = "pkg:npm/package-a@1.0.0", "pkg:npm/package-b@2.0.0"


def flaw(rule: str, component: str | None = A, severity: Any = "high", **more: Any) -> Finding:
    """A vulnerability in a component."""
    return Finding(kind="vulnerability", rule=rule, component=component, severity=severity, text="Bad.", **more)


def code(rule: str = "B602", file: str = "app/run.py", line: int = 4, severity: Any = "high") -> Finding:
    """A finding in source code."""
    return Finding(rule=rule, file=file, line=line, severity=severity, text="Shell.")


def found(*findings: Finding, **more: Any) -> ScanResult:
    """A scanner's result."""
    status = "findings" if findings else "clean"
    return ScanResult(**{"status": status, "findings": list(findings), "sentence": "scanned.", **more})


def unknown(sentence: str = "unknown: trivy could not look.") -> ScanResult:
    """What a scanner says that could not look."""
    return ScanResult(status="unknown", sentence=sentence)


def exemption(id: str = "CVE-2026-1", component: str = A, until: date = date(2026, 12, 31), **more: Any) -> Exemption:
    """An exception that holds."""
    told = {"id": id, "component": component, "until": until, "reason": "not reached", "who": "ada", **more}
    return Exemption.model_validate(told)


def rules(**keys: Any) -> Rules:
    """The rules of an app."""
    return Rules.model_validate(keys)
