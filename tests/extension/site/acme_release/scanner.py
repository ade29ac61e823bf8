"""A scanner: work that is not done yet."""

from __future__ import annotations

from pathlib import Path

from release_pipelines.core.model.finding import Finding, ScanResult


class Todo:
    """Finds lines with TODO in them."""

    name = "todo"

    def missing(self) -> str | None:
        return None

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        findings = [
            Finding(severity="low", rule="TODO", file=path.name, line=number, text=line.strip())
            for path in sorted(directory.glob("*.py"))
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if "TODO" in line
        ]
        status = "findings" if findings else "clean"
        return ScanResult(status=status, findings=findings, sentence=f"todo found {len(findings) or 'nothing'}.")


SCANNER = Todo()
