"""The verdict of a stage's measurements, and the action that follows from it (R3). Pure: nothing here reads the clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from release_pipelines.core.model.analysis import Action, Analysis
from release_pipelines.core.model.measurement import Judgement, Sample
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.ports.judge import JUDGES, Judged

_ACTIONS: dict[Action, Literal["go_on", "rollback", "hold"]] = {
    "continue": "go_on",
    "rollback": "rollback",
    "hold": "hold",
}


def stage_verdict(
    name: str,
    weight: int,
    analysis: Analysis,
    samples: list[Sample],
    now: float,
    earliest: float,
    latest: float,
    evidence: Mapping[str, Any],
    known: Any = None,
    *,
    hold: float = 0.0,
) -> Verdict | None:
    """The verdict of a stage; None: go on measuring.

    A failing critical metric decides at once. A pass comes at ``latest``; between ``earliest`` and ``latest`` it comes as soon as
    the judge is sure of every critical metric, and later where the numbers speak against the version. What could not be measured by ``latest``, or is over its limit and proves nothing, waits
    with the analysis' patience, and is then ``error`` or ``inconclusive``: never "the app is bad", and never a pass.

    :param name: the stage's name, for the verdict.
    :param weight: percent of the traffic that the new version has.
    :param samples: all samples of this stage, in any order.
    :param now: Unix time in seconds of the newest answer; the verdict's ``decided_at``.
    :param earliest: Unix time in seconds at which the hold may end; infinite while it is paused.
    :param latest: Unix time in seconds at which it ends.
    :param evidence: ``Verdict.evidence`` of the stages before, from the note.
    :param known: what the judge's ``known`` made of some of the samples already; the same comes out without it, only later.
    :param hold: the longest that the hold itself may take, in seconds.
    """
    judge = JUDGES.get(analysis.judge)
    judged = judge.verdicts(analysis, samples, evidence, weight, over=now >= latest, known=known)
    return verdict_of(name, weight, analysis, judged, now, earliest, latest, hold=hold)


def verdict_of(
    name: str,
    weight: int,
    analysis: Analysis,
    judged: list[Judged],
    now: float,
    earliest: float,
    latest: float,
    *,
    hold: float = 0.0,
) -> Verdict | None:
    """:func:`stage_verdict` of what the judge has made of the samples already.

    :param judged: the judge's verdict on each metric.
    """
    sentences: dict[Judgement, list[str]] = {}
    for verdict in (metric.verdict for metric in judged):
        if verdict.critical:
            sentences.setdefault(verdict.judgement, []).append(verdict.sentence)
    sure = all(metric.sure for metric in judged if metric.verdict.critical)

    judgement: Judgement
    if "fail" in sentences:
        judgement = "fail"
    elif now < earliest:
        return None
    elif sentences.keys() == {"pass"}:
        if now < latest + patience(analysis, hold, judged) and not sure:
            return None
        judgement = "pass"
    elif now < latest + patience(analysis, hold, judged):
        return None
    else:
        judgement = "error" if "error" in sentences else "inconclusive"
    return Verdict(
        judgement=judgement,
        decided_at=now,
        step=name,
        weight=weight,
        metrics=[metric.verdict for metric in judged],
        evidence={metric.verdict.metric: metric.state for metric in judged if metric.state},
        sentence="; ".join(sentences.get(judgement, [])),
    )


def waits_until(latest: float, analysis: Analysis, hold: float) -> tuple[float, float]:
    """When an inconclusive stage ends: where nothing was measured, and where what was proves nothing (Unix times in seconds)."""
    return latest + analysis.unmeasured_patience, latest + analysis.undecided_patience(hold)


def patience(analysis: Analysis, hold: float, judged: list[Judged]) -> float:
    """Seconds that a stage waits beyond its hold: for numbers, or for more of them where they prove nothing yet."""
    critical = [it for it in judged if it.verdict.critical]
    missing = [it for it in critical if it.verdict.judgement != "pass" and not it.undecided]
    if missing:
        return analysis.unmeasured_patience
    return analysis.undecided_patience(hold) if any(it.undecided for it in critical) else 0.0


def action(analysis: Analysis, verdict: Verdict) -> Literal["go_on", "rollback", "hold"]:
    """The action that follows from a verdict."""
    if verdict.judgement == "pass":
        return "go_on"
    if verdict.judgement == "fail":
        return "rollback"
    return _ACTIONS[analysis.on_error if verdict.judgement == "error" else analysis.on_inconclusive]
