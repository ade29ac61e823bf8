"""The threshold judge: each measurement against the limit, and how many may fail in a row (R3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from release_pipelines.core.judges._samples import samples_of
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import Judgement, Measurement, Sample, finite
from release_pipelines.core.model.verdict import MetricVerdict
from release_pipelines.core.ports.judge import Judge, Judged
from release_pipelines.core.ports.metrics import source_of
from release_pipelines.core.sentences import count, label, numbers


class Threshold(Judge):
    """Judges every metric by its limit."""

    def verdicts(
        self,
        analysis: Analysis,
        samples: list[Sample],
        evidence: Mapping[str, Any],
        weight: int,
        *,
        over: bool = False,
        known: Any = None,
    ) -> list[Judged]:
        return [Judged(metric_verdict(metric, samples, analysis)) for metric in analysis.metrics]


JUDGE = Threshold()


def measurement(metric: Metric, sample: Sample) -> Measurement:
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
        return numbers(metric, sample)
    if sample.error is not None:
        return sample.error
    if not metric.counts:
        return "the query gave no number"
    if not finite(sample.total):
        return "no requests were counted"
    if sample.total < metric.min_requests:
        return f"{count(sample.total)} requests, at least {metric.min_requests} are needed"
    return source_of(metric).uncounted(metric)


def metric_verdict(metric: Metric, samples: Iterable[Sample], analysis: Analysis) -> MetricVerdict:
    """What one metric's samples amount to so far, in whatever order they came.

    ``fail``: more than ``failure_limit`` failures in a row (a pass ends the row; inconclusive and error neither count
    nor end it); later samples change nothing. ``error``: more than ``error_limit`` errors in a row, and still no answer.
    ``pass``: ``min_measurements`` passed, and no row of failures is open. Everything else is ``inconclusive``.
    """
    own = samples_of(metric, samples)
    judgements = [judgement_of(metric, sample) for sample in own]
    failures = errors = passes = 0
    for n, judgement in enumerate(judgements):
        errors = errors + 1 if judgement == "error" else 0
        if judgement == "pass":
            failures, passes = 0, passes + 1
        elif judgement == "fail":
            failures += 1
        if failures > metric.failure_limit:
            failed = measurement(metric, own[n])
            return _verdict(metric, "fail", n + 1, failed, failed.reason)
    last = measurement(metric, own[-1]) if own else None
    newest = next((n for n in reversed(range(len(own))) if judgements[n] in ("pass", "fail")), None)
    number = None if newest is None else measurement(metric, own[newest])
    if last and errors > analysis.error_limit:
        return _verdict(metric, "error", len(own), number, f"could not measure {label(metric)}: {last.reason}")
    if number and passes >= analysis.min_measurements and not failures:
        return _verdict(metric, "pass", len(own), number, number.reason)
    if failures and number:
        why = f"{number.reason}, and no further measurement confirmed or cleared it"
    elif number:
        why = f"{passes} of {analysis.min_measurements} measurements passed"
    else:
        why = last.reason if last else "no measurement was due"
    return _verdict(metric, "inconclusive", len(own), number, f"could not measure {label(metric)}: {why}")


def _verdict(
    metric: Metric, judgement: Judgement, measurements: int, number: Measurement | None, sentence: str
) -> MetricVerdict:
    value = None
    if number:
        sample = number.sample
        value = (sample.bad or 0.0) / sample.total if metric.counts and sample.total else sample.value
    return MetricVerdict(
        metric=metric.name,
        judgement=judgement,
        value=value,
        limit=metric.limit,
        measurements=measurements,
        critical=metric.critical,
        sentence=sentence,
    )
