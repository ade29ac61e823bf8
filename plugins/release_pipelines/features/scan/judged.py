"""One scanner's results, judged by the same rules as all of them together."""

from __future__ import annotations

import time
from collections.abc import Sequence

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.findings.rules import Rules
from release_pipelines.core.model.finding import Finding, ScanResult


def stop(scanner: str, results: Sequence[ScanResult], rules: Rules, *, gated: bool = False) -> str:
    """What a scan came to, in a sentence; it stops the release on what the rules forbid.

    What needs more than one scanner is left to the gate behind all of them: licences, and what the world knows of flaws.

    :param results: those of one scanner, none of them unknown.
    :param gated: whether that gate is there. Then it also judges everything that is found in components: a VEX document may let it pass, or an
        exception under a name that only another scanner knows.
    :raises PlatformError: when something is forbidden, or could not be looked at.
    """
    from release_pipelines.core.findings.judgement import judge

    alone = rules.model_copy(update={"licences": None, "known_exploited": False, "epss": None})
    left = [_without(it, licences=gated or rules.licences is not None, components=gated) for it in results]
    judgement = judge({scanner: left}, alone, time.time())
    if not judgement.passes:
        raise PlatformError(judgement.sentence(scanner))
    said = results[0].sentence
    return f"{said.rstrip('.')}, {len(judgement.excepted)} excepted." if judgement.excepted else said


def _without(result: ScanResult, *, licences: bool, components: bool) -> ScanResult:
    def counts(it: Finding) -> bool:
        return not ((licences and it.kind == "licence") or (components and it.component))

    left = [it for it in result.findings if counts(it)]
    status = "clean" if result.findings and not left and result.status == "findings" else result.status
    return result.model_copy(update={"findings": left, "status": status})
