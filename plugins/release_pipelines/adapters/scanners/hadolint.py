"""Dockerfiles, by hadolint."""

from __future__ import annotations

from typing import Any

from release_pipelines.adapters.scanners._command import CommandScanner
from release_pipelines.core.model.finding import Finding, Severity


class Hadolint(CommandScanner):
    """Looks at the Dockerfile."""

    name = "hadolint"
    severities: dict[str, Severity] = {"error": "high", "warning": "medium", "info": "low", "style": "low"}

    def command(self, dockerfile: str) -> list[str]:
        """Hadolint's command."""
        return ["hadolint", "--format", "json", "--", dockerfile]

    def read(self, output: Any) -> list[Finding]:
        """Hadolint's findings."""
        return [
            Finding(
                severity=self.severities[it["level"]],
                rule=it["code"],
                file=it["file"],
                line=it["line"],
                text=it["message"],
            )
            for it in output
        ]


SCANNER = Hadolint()
