"""Code in many languages, by semgrep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from release_pipelines.adapters.scanners._command import ReportScanner, inside
from release_pipelines.adapters.tools import Done, NotLooked
from release_pipelines.core.model.finding import Finding, Rating

SEVERITIES: dict[str, Rating] = {
    "CRITICAL": "critical", "ERROR": "high", "HIGH": "high", "WARNING": "medium", "MEDIUM": "medium", "INFO": "low", "LOW": "low",
}  # fmt: skip

RULES = (".semgrep.yml", ".semgrep.yaml", ".semgrep")
"""Where a build context has rules of its own, the first one that is there."""

WANTED = {"semgrepignore_patterns_match", "cli_exclude_flags_match", "cli_include_flags_do_not_match", "irrelevant_rule",
          "wrong_language", "dotfile", "nonexistent_file"}  # fmt: skip
"""Why it leaves files out that somebody has left out, or that no rule is about."""

SHOWN = 3
"""Maximum number of files that are named."""


class Semgrep(ReportScanner):
    """Looks with the rules of the worker (``SEMGREP_RULES``) and of the build context; without any it cannot look."""

    name = "semgrep"
    program = "semgrep"
    hint = " (pip install semgrep, in an environment of its own)"
    accepted = (0, 1)

    def command(self, directory: Path, dockerfile: str, report: Path) -> list[str]:
        """Its arguments: files of any size, and nothing is told to its maker."""
        own = next((directory / it for it in RULES if (directory / it).exists()), None)
        worker = os.environ.get("SEMGREP_RULES", "").split()
        rules = [*worker, *([str(own)] if own else [])]
        if not rules:
            raise NotLooked(
                f"there are no rules: a path in SEMGREP_RULES on the worker, or {RULES[0]} in the source, is expected"
            )
        return [
            "scan", *(part for it in rules for part in ("--config", it)), "--metrics=off", "--disable-version-check",
            "--max-target-bytes", "0", "--verbose", "--json", "--output", str(report), str(directory),
        ]  # fmt: skip

    def read(self, report: Any, done: Done, directory: Path, dockerfile: str) -> list[Finding]:
        """Its findings; a file, or rule, that it gave up may hide anything."""
        given_up = {
            inside(directory, str(it.get("path") or "")) or "a rule": str(it.get("type") or it.get("message"))
            for it in report["errors"]
        }
        given_up |= {
            inside(directory, it["path"]): it["reason"]
            for it in report["paths"].get("skipped") or []
            if it["reason"] not in WANTED and inside(directory, it["path"]) not in given_up
        }
        if given_up:
            named = [f"{path} ({_words(why)})" for path, why in sorted(given_up.items())]
            more = f", and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
            raise NotLooked(
                f"it gave up on {', '.join(named[:SHOWN])}{more}; what is not to be looked at stands in `scan.exclude`"
            )
        if not report["paths"]["scanned"]:
            raise NotLooked("it found no file that one of its rules is about")
        if report.get("skipped_rules"):
            raise NotLooked(f"it left out {len(report['skipped_rules'])} of its rules")
        return [
            Finding(
                severity=SEVERITIES.get(str(it["extra"].get("severity")).upper(), "unknown"),
                rule=it["check_id"],
                file=inside(directory, it["path"]),
                line=it["start"]["line"],
                text=it["extra"]["message"],
            )
            for it in report["results"]
        ]


def _words(why: str) -> str:
    return why.replace("_", " ")


SCANNER = Semgrep()
