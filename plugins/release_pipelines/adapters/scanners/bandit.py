"""Python code, by Bandit."""

from __future__ import annotations

from typing import Any

from release_pipelines.adapters.scanners._command import CommandScanner
from release_pipelines.core.model.finding import Finding


class Bandit(CommandScanner):
    """Looks at Python code, but for tests, because they assert."""

    name = "bandit"

    def command(self, dockerfile: str) -> list[str]:
        """Bandit's command."""
        return ["bandit", "--recursive", "--format", "json", "--quiet", "--exclude", "*/tests/*,*/test_*.py", "."]

    def read(self, output: Any) -> list[Finding]:
        """Bandit's findings; a file that it could not parse may hide anything."""
        if output["errors"]:
            first = output["errors"][0]
            raise ValueError(f"{first.get('filename')}: {first.get('reason')}")
        return [
            Finding(
                severity=it["issue_severity"].lower(),
                rule=it["test_id"],
                file=it["filename"].removeprefix("./"),
                line=it["line_number"],
                text=it["issue_text"],
            )
            for it in output["results"]
            if it["issue_severity"] != "UNDEFINED"
        ]


SCANNER = Bandit()
