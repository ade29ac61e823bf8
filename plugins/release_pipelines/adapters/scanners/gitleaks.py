"""Keys and tokens in the source, by gitleaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release_pipelines.adapters.scanners._command import ReportScanner, inside
from release_pipelines.adapters.tools import Done, gitleaks
from release_pipelines.core.model.finding import Finding


class Gitleaks(ReportScanner):
    """Looks at the files of the commit, not at the commits before."""

    name = "gitleaks"
    program = gitleaks.PROGRAM
    hint = gitleaks.HINT
    accepted = gitleaks.ACCEPTED
    advice = "A key that was committed stays in the history: only a new key helps."

    def command(self, directory: Path, dockerfile: str, report: Path) -> list[str]:
        """Its arguments; the report never holds what was found."""
        return ["--redact", *gitleaks.arguments(directory, report)]

    def read(self, report: Any, done: Done, directory: Path, dockerfile: str) -> list[Finding]:
        """Its findings: whoever has the key may do what it allows, so each is critical."""
        return [
            Finding(
                kind="secret",
                severity="critical",
                rule=it["RuleID"],
                file=inside(directory, it["File"]),
                line=it["StartLine"],
                text=it["Description"],
            )
            for it in gitleaks.looked(report, done)
        ]


SCANNER = Gitleaks()
