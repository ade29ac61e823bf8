"""What ZAP's baseline scan says: its exit code confirms what it printed, and nothing else."""

from __future__ import annotations

import re

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.finding import Finding

SUMMARY = re.compile(
    r"^FAIL-NEW:\s*(\d+)\s+FAIL-INPROG:\s*\d+\s+WARN-NEW:\s*(\d+)\s+WARN-INPROG:.*PASS:\s*(\d+)", re.MULTILINE
)
LOOKED_AT = re.compile(r"^Total of (\d+) URLs", re.MULTILINE)
ALERT = re.compile(r"^(FAIL|WARN)-NEW: (.+?) \[(\d+)\] x (\d+)", re.MULTILINE)
LOOKED = (0, 1, 2)
"""Exit codes with which it has looked: nothing, failures, warnings alone."""


class NotLooked(ReleaseError):
    """It has not looked; the sentence says how that is known."""


def findings_in(output: str, code: int) -> list[Finding]:
    """What it found: rules that fail are of high severity, those that warn of medium severity.

    :param output: what it printed.
    :param code: its exit code.
    :raises NotLooked: when it did not run, looked at no page, or says two things.
    """
    if code not in LOOKED:
        raise NotLooked(f"ZAP did not run (exit code {code})")
    summary, pages = SUMMARY.search(output), LOOKED_AT.search(output)
    if summary is None or pages is None:
        raise NotLooked("ZAP printed no summary")
    failed, warned, passed = (int(it) for it in summary.groups())
    if not int(pages[1]) or not failed + warned + passed:
        raise NotLooked(f"ZAP looked at {pages[1]} pages by {failed + warned + passed} rules")
    if code != (1 if failed else 2 if warned else 0):
        raise NotLooked(f"ZAP ended with exit code {code}, and its summary says {failed} failed and {warned} warned")
    found = [
        Finding(
            kind="misconfiguration",
            severity="high" if kind == "FAIL" else "medium",
            rule=f"zap-{number}",
            text=f"{name}, {times} times",
        )
        for kind, name, number, times in ALERT.findall(output)
    ]
    if len(found) != failed + warned:
        raise NotLooked(f"ZAP names {len(found)} of {failed + warned} alerts")
    return found
