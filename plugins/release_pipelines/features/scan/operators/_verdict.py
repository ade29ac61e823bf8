"""What follows from the results of a scan, whatever was scanned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.finding import SEVERITIES, Finding, ScanResult, Severity, badness, in_words, reaches
from release_pipelines.core.model.image import PlatformImage
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.ports.scanner import Limited

LOGGED_FINDINGS = 20
"""Maximum number of findings in the log."""

S = TypeVar("S")


def image_results(scanner: str) -> str:
    """Under which name a release keeps what a scanner found in its image: one of that name may look at the source, too."""
    return f"image-{scanner}"


def limited(scanner: S, limits: Limits) -> S:
    """The scanner within limits.

    :raises ValueError: when it has none, and other limits than usual are wanted.
    """
    if isinstance(scanner, Limited):
        return scanner.within(limits)
    if limits != Limits():
        raise ValueError(f"{getattr(scanner, 'name', scanner)} keeps to no limits: leave `timeout` and `memory` out.")
    return scanner


def named(result: ScanResult, image: PlatformImage, several: bool) -> ScanResult:
    """The result with the platform's name, where there are several in its sentence, too."""
    if not image.platform:
        return result
    findings = [it.model_copy(update={"platform": image.platform}) for it in result.findings]
    sentence = result.sentence
    if several or result.status == "unknown":
        sentence = f"{sentence.rstrip('.')} ({image.platform})."
    return result.model_copy(update={"findings": findings, "sentence": sentence})


def summary_of(scanner: str, results: Sequence[ScanResult]) -> dict[str, Any]:
    """What a scan came to, for XCom and the approval: as bad as the worst of its results."""
    worst = min(results, key=lambda it: ("unknown", "findings", "clean").index(it.status))
    findings = [finding for it in results for finding in it.findings]
    counts: Counter[str] = Counter(finding.severity for finding in findings)
    said = [it for it in results if it.status == worst.status]
    return {
        "scanner": scanner,
        "status": worst.status,
        "sentence": " ".join(dict.fromkeys(it.sentence for it in (said if worst.status != "clean" else results))),
        "counts": {
            severity: counts[severity] for severity in (*SEVERITIES, *(["unknown"] if counts["unknown"] else []))
        },
    }


def log_findings(log: Any, results: Sequence[ScanResult]) -> list[Finding]:
    """All findings, the worst first; the worst of them are logged."""
    findings = sorted((finding for it in results for finding in it.findings), key=badness, reverse=True)
    for it in findings[:LOGGED_FINDINGS]:
        log.warning("%s %s %s", it.severity, it.rule, place_of(it))
    if len(findings) > LOGGED_FINDINGS:
        log.warning("… and %s more.", len(findings) - LOGGED_FINDINGS)
    return findings


def stop(scanner: str, findings: Sequence[Finding], block_on: Severity | None) -> None:
    """Stop the release on findings that are bad enough.

    :param findings: the worst first.
    :raises PlatformError: when there are such.
    """
    blocking = [it for it in findings if block_on and reaches(it.severity, block_on)]
    if blocking:
        raise PlatformError(
            f"{scanner} found {in_words(blocking)} (findings from {block_on} on stop the release), "
            f"like {blocking[0].rule} {place_of(blocking[0])}."
        )


def place_of(finding: Finding) -> str:
    """Where a finding is, and what it says."""
    line = f":{finding.line}" if finding.line else ""
    parts = [
        f"in {finding.file}{line}" if finding.file else "",
        f"of {finding.component}" if finding.component else "",
        f"for {finding.platform}" if finding.platform else "",
        f"in layer {finding.layer}" if finding.layer else "",
        f"(made by {finding.instruction})" if finding.instruction else "",
    ]
    return f"{' '.join(it for it in parts if it)}: {finding.text.rstrip('.')}"
