"""From samples to measurements, to verdicts, to what follows from them (R3). Pure: none of this asks the time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeGuard

from release_pipelines.core.judges import sequential
from release_pipelines.core.model.analysis import Action, Analysis, Metric
from release_pipelines.core.model.measurement import Judgement, Measurement, Sample
from release_pipelines.core.model.verdict import MetricVerdict, Verdict

_ACTIONS: dict[Action, Literal["go_on", "rollback", "hold"]] = {
    "continue": "go_on",
    "rollback": "rollback",
    "hold": "hold",
}


def ticks(started_at: float, interval: float, now: float, after: float = -math.inf) -> list[float]:
    """The measurement times that are due: ``started_at`` plus whole intervals, up to ``now`` (Unix times in seconds).

    They are absolute, so that a restart measures at the same times again (R6).

    :param after: only later ones than this.
    """
    first = max(1, int((max(after, started_at) - started_at) / interval))
    due = (started_at + k * interval for k in range(first, max(0, int((now - started_at) / interval)) + 2))
    return [tick for tick in due if after < tick <= now]


def window_at(analysis: Analysis, started_at: float, tick: float) -> float:
    """How many seconds the measurement at ``tick`` looks back: never past the step's start."""
    return max(0.0, min(analysis.window, tick - started_at))


def judge(metric: Metric, sample: Sample) -> Measurement:
    """One sample's judgement, and why."""
    judgement = judgement_of(metric, sample)
    return Measurement(sample=sample, judgement=judgement, reason=_reason(metric, sample, judgement))


def judgement_of(metric: Metric, sample: Sample) -> Judgement:
    """One sample's judgement. Only a finite number can pass or fail."""
    if sample.error is not None:
        return "error"
    value = sample.value
    if metric.counts:
        if not finite(sample.total) or sample.total < metric.min_requests or not finite(sample.bad):
            return "inconclusive"
        value = sample.bad / sample.total
    if not finite(value):
        return "inconclusive"
    return "pass" if value <= metric.limit else "fail"


def _reason(metric: Metric, sample: Sample, judgement: Judgement) -> str:
    if judgement in ("pass", "fail"):
        return _numbers(metric, sample)
    if sample.error is not None:
        return sample.error
    if not metric.counts:
        return "the query gave no number"
    if not finite(sample.total):
        return "no requests were counted"
    if sample.total < metric.min_requests:
        return f"{_count(sample.total)} requests, at least {metric.min_requests} are needed"
    if metric.source == "slow_requests":
        return f"slow requests could not be counted: no histogram bucket ends at {metric.slower_than:g} s"
    return "bad events could not be counted"


def metric_verdict(metric: Metric, samples: Iterable[Sample], analysis: Analysis) -> MetricVerdict:
    """What one metric's samples amount to so far, in whatever order they came.

    ``fail``: more than ``failure_limit`` failures in a row (a pass ends the row; inconclusive and error neither count
    nor end it); later samples change nothing. ``error``: more than ``error_limit`` errors in a row, and still no answer.
    ``pass``: ``min_measurements`` passed, and no row of failures is open. Everything else is ``inconclusive``.
    """
    measured = samples_of(metric, samples)
    judgements = [judgement_of(metric, sample) for sample in measured]
    failures = errors = passes = 0
    for n, it in enumerate(judgements):
        errors = errors + 1 if it == "error" else 0
        if it == "pass":
            failures, passes = 0, passes + 1
        elif it == "fail":
            failures += 1
        if failures > metric.failure_limit:
            failed = judge(metric, measured[n])
            return _verdict(metric, "fail", n + 1, failed, failed.reason)
    last = judge(metric, measured[-1]) if measured else None
    newest = next((n for n in reversed(range(len(measured))) if judgements[n] in ("pass", "fail")), None)
    numbers = None if newest is None else judge(metric, measured[newest])
    if last and errors > analysis.error_limit:
        return _verdict(metric, "error", len(measured), numbers, f"could not measure {label(metric)}: {last.reason}")
    if numbers and passes >= analysis.min_measurements and not failures:
        return _verdict(metric, "pass", len(measured), numbers, numbers.reason)
    if failures and numbers:
        why = f"{numbers.reason}, and no further measurement confirmed or cleared it"
    elif numbers:
        why = f"{passes} of {analysis.min_measurements} measurements passed"
    else:
        why = last.reason if last else "no measurement was due"
    return _verdict(metric, "inconclusive", len(measured), numbers, f"could not measure {label(metric)}: {why}")


def stage_verdict(
    name: str,
    weight: int,
    analysis: Analysis,
    samples: list[Sample],
    now: float,
    earliest: float,
    latest: float,
    evidence: Mapping[str, Any],
    known: Mapping[str, Counted] | None = None,
) -> Verdict | None:
    """What a stage amounts to; None: go on measuring.

    A failing critical metric (with Kayenta's judge: the score) decides at once. A pass comes at ``latest``; between ``earliest`` and ``latest`` it comes as soon
    as the sequential judge is sure enough of every count. What could not be measured by ``latest`` waits for
    ``patience``, and is then ``error`` or ``inconclusive``: never "the app is bad".

    :param name: the stage's name, for the verdict.
    :param weight: percent of the traffic that the new version has.
    :param samples: all samples of this stage, in any order.
    :param now: Unix time in seconds of the newest answer; the verdict's ``decided_at``.
    :param earliest: Unix time in seconds at which the hold may end; infinite while it is paused.
    :param latest: Unix time in seconds at which it ends.
    :param evidence: ``Verdict.evidence`` of the stages before, from the note.
    :param known: what :func:`counted` made of some of the samples already; the same comes out without it, only later.
    """
    found = judged(analysis, samples, evidence, weight, over=now >= latest, known=known)
    metrics = [it.verdict for it in found]
    said: dict[Judgement, list[str]] = {}
    for metric in metrics:
        if metric.critical:
            said.setdefault(metric.judgement, []).append(metric.sentence)
    sure = all(it.sure for it in found if it.verdict.critical)

    judgement: Judgement
    if "fail" in said:
        judgement = "fail"
    elif now < earliest:
        return None
    elif said.keys() == {"pass"}:
        if now < latest and not sure:
            return None
        judgement = "pass"
    elif now < latest + analysis.patience:
        return None
    else:
        judgement = "error" if "error" in said else "inconclusive"
    return Verdict(
        judgement=judgement,
        decided_at=now,
        step=name,
        weight=weight,
        metrics=metrics,
        evidence={it.verdict.metric: it.state for it in found if it.state},
        sentence="; ".join(said.get(judgement, [])),
    )


class Counted(NamedTuple):
    """A sequential test on its way through a stage, so that every sample is counted once however often somebody looks."""

    state: sequential.State
    last: Sample | None = None
    requests: int = 0
    """In this stage."""
    measured: int = 0
    errors: int = 0
    """In a row."""
    failed: str | None = None
    """How it failed; later samples change nothing."""


class Judged(NamedTuple):
    """One metric's verdict so far."""

    verdict: MetricVerdict
    sure: bool = False
    """Good enough for a hold to end early."""
    state: dict[str, Any] | None = None
    """What the next stage goes on with."""


def judged(
    analysis: Analysis,
    samples: list[Sample],
    evidence: Mapping[str, Any],
    weight: int,
    *,
    over: bool = False,
    known: Mapping[str, Counted] | None = None,
) -> list[Judged]:
    """Every metric's verdict by the judge that the analysis names.

    Kayenta's compares with stable; where all traffic is the new version's nothing is left to compare with, and the limits decide.

    :param over: whether the stage's hold is over: Kayenta's judge then says what it had left open.
    :param known: what :func:`counted` made of some of the samples already.
    """
    if analysis.judge == "kayenta" and weight < 100:
        from release_pipelines.core.judges.kayenta import verdicts

        return [Judged(verdict) for verdict in verdicts(analysis, samples, over=over)]
    if analysis.judge != "sequential":
        return [Judged(metric_verdict(metric, samples, analysis)) for metric in analysis.metrics]
    tests, found = counted(analysis, samples, evidence, known), []
    for metric in analysis.metrics:
        if metric.counts:
            found.append(_sequential(metric, analysis, tests[metric.name]))
        else:
            verdict = metric_verdict(metric, samples, analysis)
            found.append(Judged(verdict, sure=verdict.judgement == "pass"))
    return found


def counted(
    analysis: Analysis, samples: list[Sample], evidence: Mapping[str, Any], known: Mapping[str, Counted] | None
) -> dict[str, Counted]:
    """Where the sequential tests of all counts are after these samples, by metric.

    :param evidence: where they began, from the note.
    :param known: what this function made of the samples up to some moment; None: nothing yet.
    """
    alpha = alpha_of_a_test(analysis)
    tests = {}
    for metric in analysis.metrics:
        if metric.counts:
            test = (known or {}).get(metric.name) or Counted(sequential.from_json(evidence.get(metric.name)))
            since = test.last.at if test.last else -math.inf
            new = [it for it in samples if it.at > since]
            tests[metric.name] = _count_on(metric, samples_of(metric, new), test, alpha)
    return tests


def alpha_of_a_test(analysis: Analysis) -> float:
    """The chance of a false alarm that each sequential test has: the analysis' own, shared over all tests that can decide."""
    tests = sum(2 for metric in analysis.metrics if metric.counts and metric.critical)
    return analysis.alpha / max(2, tests)


def curve(metric: Metric, samples: Iterable[Sample], evidence: object = None) -> list[tuple[float, float, float]]:
    """How the evidence of a count grew: Unix time, and the natural logarithms of both e-values (stable, limit)."""
    state, points = sequential.from_json(evidence), []
    for sample in samples_of(metric, samples):
        counts = _counts(sample)
        if counts:
            state = sequential.add(state, counts, tolerance=metric.tolerance)
            points.append((sample.at, *sequential.evidence(state, limit=metric.limit)))
    return points


def _count_on(metric: Metric, samples: list[Sample], test: Counted, alpha: float) -> Counted:
    """``failed`` as soon as one e-value passes 1/alpha."""
    for sample in samples:
        if test.failed:
            return test
        counts = _counts(sample)
        test = test._replace(last=sample, errors=test.errors + 1 if sample.error is not None else 0)
        if counts is None:
            continue
        state = sequential.add(test.state, counts, tolerance=metric.tolerance)
        test = test._replace(state=state, requests=test.requests + counts.total, measured=test.measured + 1)
        against_stable, against_limit = sequential.evidence(state, limit=metric.limit)
        if max(against_stable, against_limit) > -math.log(alpha):
            how = "surely above the limit"
            if against_stable > against_limit:
                how = f"surely more than {metric.tolerance:g} times stable's"
            test = test._replace(failed=how)
    return test


def _sequential(metric: Metric, analysis: Analysis, test: Counted) -> Judged:
    state, last, measured = test.state, test.last, test.measured
    if test.failed:
        return _judged(metric, "fail", state, measured, f"{_seen(metric, state)}, {test.failed}")
    if last is not None and test.errors > analysis.error_limit:
        return _judged(metric, "error", state, measured, f"could not measure {label(metric)}: {last.error}")
    if test.requests < metric.min_requests or measured < analysis.min_measurements:
        why = f"{_count(test.requests)} requests, at least {metric.min_requests} are needed"
        if test.requests >= metric.min_requests:
            why = f"{measured} of {analysis.min_measurements} measurements"
        elif last is not None and finite(last.total) and not finite(last.bad):
            why = judge(metric, last.model_copy(update={"total": max(last.total, metric.min_requests)})).reason
        return _judged(metric, "inconclusive", state, measured, f"could not measure {label(metric)}: {why}")
    return _judged(metric, "pass", state, measured, _seen(metric, state))


def _judged(metric: Metric, judgement: Judgement, state: sequential.State, measured: int, sentence: str) -> Judged:
    seen = state.seen
    verdict = MetricVerdict(
        metric=metric.name,
        judgement=judgement,
        value=seen.bad / seen.total if seen.total else None,
        limit=metric.limit,
        measurements=measured,
        critical=metric.critical,
        evidence=max(sequential.evidence(state, limit=metric.limit)),
        sentence=sentence,
    )
    return Judged(verdict, judgement == "pass" and good_enough(metric, state), sequential.to_json(state))


def good_enough(metric: Metric, state: sequential.State) -> bool:
    """Whether a hold may end early: the canary is surely within the limit, and surely not more than the margin above stable."""
    seen, margin = state.seen, metric.limit / 2 if metric.margin is None else metric.margin
    if not seen.total or sequential.bound(seen.bad, seen.total, sequential.BOUND_ALPHA, upper=True) > metric.limit:
        return False
    return not seen.stable_total or (sequential.excess(state) or 0.0) <= margin


def _seen(metric: Metric, state: sequential.State) -> str:
    bad, total, stable_bad, stable_total = state.seen
    sample = Sample(metric=metric.name, at=0, bad=bad, total=total)
    beside = {"stable_bad": stable_bad, "stable_total": stable_total} if stable_total else {}
    return _numbers(metric, sample.model_copy(update=beside))


def samples_of(metric: Metric, samples: Iterable[Sample]) -> list[Sample]:
    """The metric's own samples, each moment once, oldest first."""
    own = {sample.at: sample for sample in samples if sample.metric == metric.name}
    return [own[at] for at in sorted(own)]


def _counts(sample: Sample) -> sequential.Counts | None:
    """Whole events; None where the canary's could not be counted. Where only stable's could not, the limit still holds."""
    if not finite(sample.bad) or not finite(sample.total) or sample.total <= 0:
        return None
    total, stable_bad, stable_total = round(sample.total), 0, 0
    if finite(sample.stable_bad) and finite(sample.stable_total):
        stable_total = max(0, round(sample.stable_total))
        stable_bad = min(max(0, round(sample.stable_bad)), stable_total)
    return sequential.Counts(min(max(0, round(sample.bad)), total), total, stable_bad, stable_total)


def action(analysis: Analysis, verdict: Verdict) -> Literal["go_on", "rollback", "hold"]:
    """What follows from a verdict."""
    if verdict.judgement == "pass":
        return "go_on"
    if verdict.judgement == "fail":
        return "rollback"
    return _ACTIONS[analysis.on_error if verdict.judgement == "error" else analysis.on_inconclusive]


def label(metric: Metric) -> str:
    """The metric in a sentence."""
    if metric.source == "errors":
        return "error rate"
    if metric.source == "slow_requests":
        return f"share of requests over {metric.slower_than:g} s"
    return {"cpu": "CPU", "memory": "memory"}.get(metric.source or "", metric.name)


def limits(analysis: Analysis) -> str:
    """What the critical metrics must keep, like ``error rate ≤ 1 %, share of requests over 0.5 s ≤ 1 %``."""

    return ", ".join(
        f"{label(metric)} ≤ {shown(metric, metric.limit)}" for metric in analysis.metrics if metric.critical
    )


def shown(metric: Metric, value: float) -> str:
    """A value of the metric in a sentence: a share in percent, or a number."""
    return _share(value) if metric.counts or metric.source else f"{value:.4g}"


def _numbers(metric: Metric, sample: Sample) -> str:
    """``error rate 4.8 % over 1,204 requests, limit 1 % (stable: 0.1 %)``"""
    if not metric.counts:
        return f"{label(metric)} {shown(metric, sample.value or 0.0)}, limit {shown(metric, metric.limit)}"
    bad, total = sample.bad or 0.0, sample.total or 1.0
    events = "requests" if metric.source else "events"
    text = f"{label(metric)} {_share(bad / total)} over {_count(total)} {events}, limit {_share(metric.limit)}"
    if finite(sample.stable_bad) and finite(sample.stable_total) and sample.stable_total:
        text += f" (stable: {_share(sample.stable_bad / sample.stable_total)})"
    return text


def _share(value: float) -> str:
    return f"{100 * value:.3g} %" if abs(value) < 1 else f"{100 * value:,.0f} %"


def _count(value: float | None) -> str:
    return f"{round(value or 0):,}"


def finite(value: float | None) -> TypeGuard[float]:
    """Whether it is a number at all: only that can pass or fail."""
    return value is not None and math.isfinite(value)


def _verdict(
    metric: Metric, judgement: Judgement, measured: int, numbers: Measurement | None, sentence: str
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
        measurements=measured,
        critical=metric.critical,
        sentence=sentence,
    )
