"""From samples to measurements, to verdicts, to what follows from them (R3). Pure: none of this asks the time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, TypeGuard

from release_pipelines.domain.values import Judgement, Measurement, MetricVerdict, Sample, Verdict
from release_pipelines.spec.analysis import AnalysisSpec, MetricSpec
from release_pipelines.spec.base import Action

_ACTIONS: dict[Action, Literal["go_on", "rollback", "hold"]] = {
    "continue": "go_on",
    "rollback": "rollback",
    "hold": "hold",
}


def ticks(started_at: float, interval: float, now: float) -> list[float]:
    """The measurement times that are due: ``started_at`` plus whole intervals, up to ``now`` (Unix times in seconds).

    They are absolute, so that a restart measures at the same times again (R6).
    """
    due = (started_at + k * interval for k in range(1, max(0, int((now - started_at) / interval)) + 2))
    return [tick for tick in due if tick <= now]


def window_at(analysis: AnalysisSpec, started_at: float, tick: float) -> float:
    """How many seconds the measurement at ``tick`` looks back: never past the step's start."""
    return max(0.0, min(analysis.window, tick - started_at))


def judge(metric: MetricSpec, sample: Sample) -> Measurement:
    """One sample's judgement. Only a finite number can pass or fail."""
    if sample.error is not None:
        return _measured(sample, "error", sample.error)
    if metric.counts:
        if not _finite(sample.total):
            return _measured(sample, "inconclusive", "no requests were counted")
        if sample.total < metric.min_requests:
            return _measured(
                sample, "inconclusive", f"{_count(sample.total)} requests, at least {metric.min_requests} are needed"
            )
        if not _finite(sample.bad):
            why = "bad events could not be counted"
            if metric.source == "slow_requests":
                why = f"slow requests could not be counted: no histogram bucket ends at {metric.slower_than:g} s"
            return _measured(sample, "inconclusive", why)
        value = sample.bad / sample.total
    elif _finite(sample.value):
        value = sample.value
    else:
        return _measured(sample, "inconclusive", "the query gave no number")
    return _measured(sample, "pass" if value <= metric.limit else "fail", _numbers(metric, sample))


def metric_verdict(metric: MetricSpec, samples: Iterable[Sample], analysis: AnalysisSpec) -> MetricVerdict:
    """What one metric's samples amount to so far, in whatever order they came.

    ``fail``: more than ``failure_limit`` failures in a row (a pass ends the row; inconclusive and error neither count
    nor end it); later samples change nothing. ``error``: more than ``error_limit`` errors in a row, and still no answer.
    ``pass``: ``min_measurements`` passed, and no row of failures is open. Everything else is ``inconclusive``.
    """
    own = {sample.at: sample for sample in samples if sample.metric == metric.name}
    measured = [judge(metric, own[at]) for at in sorted(own)]
    failures = errors = passes = 0
    for n, it in enumerate(measured):
        errors = errors + 1 if it.judgement == "error" else 0
        if it.judgement == "pass":
            failures, passes = 0, passes + 1
        elif it.judgement == "fail":
            failures += 1
        if failures > metric.failure_limit:
            return _verdict(metric, "fail", measured[: n + 1], it, it.reason)
    last = measured[-1] if measured else None
    numbers = next((it for it in reversed(measured) if it.judgement in ("pass", "fail")), None)
    if last and errors > analysis.error_limit:
        return _verdict(metric, "error", measured, numbers, f"could not measure {label(metric)}: {last.reason}")
    if numbers and passes >= analysis.min_measurements and not failures:
        return _verdict(metric, "pass", measured, numbers, numbers.reason)
    if failures and numbers:
        why = f"{numbers.reason}, and no further measurement confirmed or cleared it"
    elif numbers:
        why = f"{passes} of {analysis.min_measurements} measurements passed"
    else:
        why = last.reason if last else "no measurement was due"
    return _verdict(metric, "inconclusive", measured, numbers, f"could not measure {label(metric)}: {why}")


def step_verdict(
    step: str, weight: int, analysis: AnalysisSpec, samples: list[Sample], now: float, started_at: float, hold: float
) -> Verdict | None:
    """What a step amounts to; None: go on measuring.

    A failing critical metric decides at once. A pass comes at the end of the hold at the earliest. What could not be
    measured by then waits for ``patience``, and is then ``error`` or ``inconclusive``: never "the app is bad".

    :param step: the step's name, for the verdict.
    :param weight: percent of the traffic that the canary has.
    :param samples: all samples of this step, in any order.
    :param now: Unix time in seconds of the newest answer; the verdict's ``decided_at``.
    :param started_at: Unix time in seconds at which the weight was accepted.
    :param hold: seconds that the step lasts at least.
    """
    metrics = [metric_verdict(metric, samples, analysis) for metric in analysis.metrics]
    deciding = [metric for metric in metrics if metric.critical]
    found: dict[Judgement, list[str]] = {}
    for metric in deciding:
        found.setdefault(metric.judgement, []).append(metric.sentence)

    judgement: Judgement
    if "fail" in found:
        judgement = "fail"
    elif now < started_at + hold:
        return None
    elif found.keys() == {"pass"}:
        judgement = "pass"
    elif now < started_at + hold + analysis.patience:
        return None
    else:
        judgement = "error" if "error" in found else "inconclusive"
    sentence = "; ".join(found.get(judgement, []))
    return Verdict(judgement=judgement, decided_at=now, step=step, weight=weight, metrics=metrics, sentence=sentence)


def action(analysis: AnalysisSpec, verdict: Verdict) -> Literal["go_on", "rollback", "hold"]:
    """What follows from a verdict."""
    if verdict.judgement == "pass":
        return "go_on"
    if verdict.judgement == "fail":
        return "rollback"
    return _ACTIONS[analysis.on_error if verdict.judgement == "error" else analysis.on_inconclusive]


def label(metric: MetricSpec) -> str:
    """The metric in a sentence."""
    if metric.source == "errors":
        return "error rate"
    if metric.source == "slow_requests":
        return f"share of requests over {metric.slower_than:g} s"
    return {"cpu": "CPU", "memory": "memory"}.get(metric.source or "", metric.name)


def limits(analysis: AnalysisSpec) -> str:
    """What the critical metrics must keep, like ``error rate ≤ 1 %, share of requests over 0.5 s ≤ 1 %``."""

    def limit(metric: MetricSpec) -> str:
        return _share(metric.limit) if metric.counts or metric.source else f"{metric.limit:.4g}"

    return ", ".join(f"{label(metric)} ≤ {limit(metric)}" for metric in analysis.metrics if metric.critical)


def _numbers(metric: MetricSpec, sample: Sample) -> str:
    """``error rate 4.8 % over 1,204 requests, limit 1 % (stable: 0.1 %)``"""
    if not metric.counts:
        shown = _share if metric.source else "{:.4g}".format
        return f"{label(metric)} {shown(sample.value or 0.0)}, limit {shown(metric.limit)}"
    bad, total = sample.bad or 0.0, sample.total or 1.0
    events = "requests" if metric.source else "events"
    text = f"{label(metric)} {_share(bad / total)} over {_count(total)} {events}, limit {_share(metric.limit)}"
    if _finite(sample.stable_bad) and _finite(sample.stable_total) and sample.stable_total:
        text += f" (stable: {_share(sample.stable_bad / sample.stable_total)})"
    return text


def _share(value: float) -> str:
    return f"{100 * value:.3g} %" if abs(value) < 1 else f"{100 * value:,.0f} %"


def _count(value: float | None) -> str:
    return f"{round(value or 0):,}"


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _measured(sample: Sample, judgement: Judgement, reason: str) -> Measurement:
    return Measurement(sample=sample, judgement=judgement, reason=reason)


def _verdict(
    metric: MetricSpec, judgement: Judgement, measured: list[Measurement], numbers: Measurement | None, sentence: str
) -> MetricVerdict:
    value = None
    if numbers:
        it = numbers.sample
        value = (it.bad or 0.0) / it.total if metric.counts and it.total else it.value
    return MetricVerdict(
        metric=metric.name,
        judgement=judgement,
        value=value,
        limit=metric.limit,
        measurements=len(measured),
        critical=metric.critical,
        sentence=sentence,
    )
