"""Findings of a scanner in source code."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.units import Sentence
from release_pipelines.core.text import clean

Severity = Literal["low", "medium", "high"]

SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")
"""All severities, the mildest first."""

Words = Annotated[str, AfterValidator(lambda raw: " ".join(clean(raw, 500).split()))]
"""Text of a scanner, in one safe line."""


class Finding(Stored):
    """One finding of a scanner."""

    severity: Severity
    rule: Words
    file: Words
    line: int
    text: Words


class ScanResult(Stored):
    """What a scan came to. ``unknown``: the scanner could not look, which blocks like the worst finding."""

    status: Literal["clean", "findings", "unknown"]
    findings: list[Finding] = []
    sentence: Sentence


def in_words(findings: Iterable[Finding]) -> str:
    """How many findings of which severity, worst first."""
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity])
