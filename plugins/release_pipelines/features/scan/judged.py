"""One scanner's results, judged by the same rules as all of them together."""

from __future__ import annotations

import time
from collections.abc import Sequence

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.findings.rules import Rules
from release_pipelines.core.model.finding import ScanResult


def stop(scanner: str, results: Sequence[ScanResult], rules: Rules) -> str:
    """What a scan came to, in a sentence; it stops the release on what the rules forbid.

    What needs more than one scanner is left to the gate behind all of them: licences, and what the world knows of flaws.

    :param results: those of one scanner, none of them unknown.
    :raises PlatformError: when something is forbidden, or could not be looked at.
    """
    from release_pipelines.core.findings.judgement import judge

    alone = rules.model_copy(update={"licences": None, "known_exploited": None, "epss": None})
    if rules.licences is not None:
        results = [_without_licences(it) for it in results]
    judgement = judge({scanner: results}, alone, time.time())
    if not judgement.passes:
        raise PlatformError(judgement.sentence(scanner))
    said = results[0].sentence
    return f"{said.rstrip('.')}, {len(judgement.excepted)} excepted." if judgement.excepted else said


def _without_licences(result: ScanResult) -> ScanResult:
    left = [it for it in result.findings if it.kind != "licence"]
    status = "clean" if result.findings and not left and result.status == "findings" else result.status
    return result.model_copy(update={"findings": left, "status": status})
