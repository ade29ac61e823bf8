"""Dependencies of the source that have known vulnerabilities, by Trivy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release_pipelines.adapters.scanners._command import ReportScanner
from release_pipelines.adapters.tools import Done, NotLooked, trivy
from release_pipelines.core.model.finding import Finding


class Trivy(ReportScanner):
    """Looks at lock files, with the database of the worker."""

    name = "trivy"
    program = trivy.PROGRAM
    hint = trivy.HINT

    def command(self, directory: Path, dockerfile: str, report: Path) -> list[str]:
        """Its arguments."""
        return [
            "fs", "--scanners", "vuln", "--list-all-pkgs", "--format", "json", "--output", str(report), "--exit-code", "0",
            "--severity", "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL", "--timeout", f"{self.limits.timeout:.0f}s", "--", str(directory),
        ]  # fmt: skip

    def data_at(self) -> float | None:
        """When its database was made."""
        return trivy.data_at(self.limits)

    def read(self, report: Any, done: Done, directory: Path, dockerfile: str) -> list[Finding]:
        """Its findings."""
        looked = trivy.results(report, done)
        if not any(part.get("Packages") or part.get("Vulnerabilities") for part in looked):
            raise NotLooked("it found no lock file with dependencies")
        return trivy.vulnerabilities(looked)


SCANNER = Trivy()
