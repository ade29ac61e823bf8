"""Misconfiguration of Dockerfiles and manifests, by checkov."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release_pipelines.adapters.scanners._command import ReportScanner, inside
from release_pipelines.adapters.tools import Done, NotLooked
from release_pipelines.core.model.finding import Finding, Rating

SEVERITIES: dict[str, Rating] = {
    "INFO": "low", "LOW": "low", "MEDIUM": "medium", "MODERATE": "medium", "HIGH": "high", "CRITICAL": "critical",
}  # fmt: skip


class Checkov(ReportScanner):
    """Looks at files of all kinds that it knows. Without a key of its maker it gives no severities: then each is unknown."""

    name = "checkov"
    program = "checkov"
    hint = " (pip install checkov, in an environment of its own)"
    accepted = (0, 1)
    report = "results_json.json"  # it chooses the name itself

    def command(self, directory: Path, dockerfile: str, report: Path) -> list[str]:
        """Its arguments: nothing is downloaded, no code is shown."""
        return [
            "--directory", str(directory), "--output", "json", "--output-file-path", str(report.parent),
            "--skip-download", "--quiet", "--compact",
        ]  # fmt: skip

    def read(self, report: Any, done: Done, directory: Path, dockerfile: str) -> list[Finding]:
        """Its findings; a file that it could not parse may hide anything."""
        parts = report if isinstance(report, list) else [report]
        findings: list[Finding] = []
        checked = 0
        for part in parts:
            if "results" not in part:  # it found nothing of its kinds
                checked += part["passed"] + part["failed"]
                continue
            broken = part["results"].get("parsing_errors") or []
            if broken or part["summary"]["parsing_errors"]:
                named = ", ".join(inside(directory, str(it)) for it in broken[:3]) or "a file"
                raise NotLooked(f"it could not parse {named}; what is not to be looked at stands in `scan.exclude`")
            checked += part["summary"]["passed"] + part["summary"]["failed"] + part["summary"]["skipped"]
            findings += [_finding(it, directory) for it in part["results"]["failed_checks"]]
            if len(part["results"]["failed_checks"]) != part["summary"]["failed"]:
                raise NotLooked("its report is not whole: it counts other failures than it names")
        if not checked:
            raise NotLooked("it found no file of a kind that it knows")
        return findings


def _finding(check: dict[str, Any], directory: Path) -> Finding:
    return Finding(
        kind="misconfiguration",
        severity=SEVERITIES.get(str(check.get("severity") or "").upper(), "unknown"),
        rule=check["check_id"],
        file=inside(directory, check["file_path"]),
        line=check["file_line_range"][0],
        text=check["check_name"],
    )


SCANNER = Checkov()
