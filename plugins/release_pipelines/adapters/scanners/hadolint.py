"""Dockerfiles, by hadolint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release_pipelines.adapters.scanners._command import CommandScanner, NotLooked
from release_pipelines.core.dockerfile import with_room_after_heredocs
from release_pipelines.core.model.finding import Finding, ScanResult, Severity

NOT_PARSED = "DL1000"
"""The rule under which hadolint says that it cannot read a Dockerfile: that is no finding."""


class Hadolint(CommandScanner):
    """Looks at the Dockerfile."""

    name = "hadolint"
    contained = True
    severities: dict[str, Severity] = {"error": "high", "warning": "medium", "info": "low", "style": "low"}

    def command(self, dockerfile: str) -> list[str]:
        """Hadolint's command."""
        return ["hadolint", "--format", "json", "--", dockerfile]

    def read(self, output: Any) -> list[Finding]:
        """Hadolint's findings."""
        for it in output:
            if it["code"] == NOT_PARSED:
                why = str(it["message"]).partition("\n")[0]
                raise NotLooked(
                    f"it cannot parse {it['file']}:{it['line']} ({why}): correct the Dockerfile, or leave hadolint out of "
                    "`scan.scanners` where the engine builds it"
                )
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

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        """Look at the Dockerfile; at a copy where a line follows a heredoc, which hadolint would take for a part of that."""
        try:
            written = (directory / dockerfile).read_text(errors="surrogateescape")
        except OSError:
            return super().scan(directory, dockerfile)  # which says so
        text, numbers = with_room_after_heredocs(written)
        if len(numbers) == len(written.splitlines()):
            return super().scan(directory, dockerfile)
        return _Copy(text, numbers).scan(directory, dockerfile)


class _Copy(Hadolint):
    """Looks at a text that stands for the Dockerfile.

    :param numbers: for each line of the text, the number of the Dockerfile's.
    """

    def __init__(self, text: str, numbers: list[int]) -> None:
        self.text = text
        self.numbers = numbers
        self.file = "Dockerfile"

    def command(self, dockerfile: str) -> list[str]:
        self.file = dockerfile
        return ["hadolint", "--format", "json", "-"]

    def input(self, directory: Path, dockerfile: str) -> bytes:
        return self.text.encode(errors="surrogateescape")

    def read(self, output: Any) -> list[Finding]:
        lines = self.numbers
        return super().read(
            [
                {
                    **it,
                    "file": self.file,
                    "line": lines[min(max(it["line"], 1), len(lines)) - 1] if lines else it["line"],
                }
                for it in output
            ]
        )

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        return CommandScanner.scan(self, directory, dockerfile)


SCANNER = Hadolint()
