"""Findings of scanners."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.units import Sentence
from release_pipelines.core.text import clean

Severity = Literal["low", "medium", "high", "critical"]

SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
"""All severities, the mildest first."""

Rating = Literal["unknown", "low", "medium", "high", "critical"]
"""A severity, or that nobody can say it: that is never a mild one."""

Kind = Literal["code", "vulnerability", "secret", "licence", "misconfiguration"]

Words = Annotated[str, AfterValidator(lambda raw: " ".join(clean(raw, 500).split()))]
"""Text of a scanner, in one safe line."""


class Score(Stored):
    """One source's opinion of a severity."""

    source: Words = Field(description="Like nvd, or CVSS_V3")
    rating: Rating
    score: float | None = Field(None, description="0 to 10")
    vector: Words | None = None


class Finding(Stored):
    """One finding of a scanner, in a file or in a component."""

    kind: Kind = "code"
    severity: Rating
    rule: Words = Field(description="Id of the rule, or of the advisory")
    file: Words = ""
    line: int = 0
    text: Words
    aliases: list[Words] = Field(
        default_factory=list, description="Other names of the same flaw: symmetric and transitive"
    )
    upstream: list[Words] = Field(
        default_factory=list,
        description="Flaws that this one is derived from, like CVE ids of a distribution's advisory",
    )
    component: Words | None = Field(None, description="Package URL with its version")
    source: Words | None = Field(None, description="The source package that it was found by, where it is another")
    fixed_in: Words | None = Field(
        None, description="The version of the component that ends it, on its branch; None: none is named"
    )
    platform: Words | None = Field(
        None, description="Of a multi-platform image, like linux/arm64; None: the source, or all"
    )
    layer: Words | None = Field(None, description="Digest of the image's layer that it is in")
    instruction: Words | None = Field(None, description="What created the layer")
    scores: list[Score] = Field(default_factory=list)


class ScanResult(Stored):
    """What a scan came to. ``unknown``: the scanner could not look, which blocks like the worst finding."""

    status: Literal["clean", "findings", "unknown"]
    findings: list[Finding] = []
    sentence: Sentence
    subject: str | None = Field(
        None, description="Digest of the image's manifest that was looked at; None: source code"
    )
    data_at: float | None = Field(
        None, description="How old the scanner's data are: Unix time in seconds; None: it has none"
    )
    withdrawn: list[Words] = Field(
        default_factory=list, description="Ids of advisories that were withdrawn, and would have been findings"
    )
    not_looked_at: list[Words] = Field(
        default_factory=list, description="What could not be looked at, each with the reason; then it is unknown"
    )
    again: bool = Field(False, description="Unknown for what may be mended by another try, like a rate limit")


def reaches(rating: Rating, limit: Severity) -> bool:
    """Whether a severity is as bad as the limit; one that nobody can say is."""
    return rating == "unknown" or SEVERITIES.index(rating) >= SEVERITIES.index(limit)


def badness(finding: Finding) -> int:
    """By which findings are sorted, the mildest first; what nobody can say stands beside the worst."""
    return len(SEVERITIES) if finding.severity == "unknown" else SEVERITIES.index(finding.severity)


def in_words(findings: Iterable[Finding]) -> str:
    """How many findings of which severity, worst first."""
    counts = Counter(finding.severity for finding in findings)
    words = [f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity]]
    if counts["unknown"]:
        words.append(f"{counts['unknown']} of unknown severity")
    return ", ".join(words)
