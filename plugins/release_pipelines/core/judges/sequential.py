"""The sequential judge: a test of counts that may be looked at after every interval (R3).

The mathematics, and why looking often raises no false alarm, are in :mod:`release_pipelines.core.judges._e_values`. Gauges have
a threshold.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from release_pipelines.core.judges import _e_values as e_values
from release_pipelines.core.judges._samples import samples_of
from release_pipelines.core.judges.threshold import measurement, metric_verdict
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import Judgement, Sample, finite
from release_pipelines.core.model.verdict import MetricVerdict
from release_pipelines.core.ports.judge import Evidence, Judge, Judged
from release_pipelines.core.sentences import count, label, numbers

TESTED = ("source", "options", "bad", "total", "query", "limit", "slower_than", "tolerance")
"""Fields of a metric that make another test of it."""


class SequentialTest(NamedTuple):
    """A sequential test on its way through a stage, so that every sample is counted once however often somebody looks."""

    state: e_values.State
    last: Sample | None = None
    requests: int = 0
    """In this stage."""
    measured: int = 0
    errors: int = 0
    """In a row."""
    failed: str | None = None
    """How it failed; later samples change nothing."""


class Sequential(Judge):
    """Tests counts against stable and against the limit, and fails as soon as one of the tests is sure."""

    exact_counts = True
    ends_early = True

    def verdicts(
        self,
        analysis: Analysis,
        samples: list[Sample],
        evidence: Mapping[str, Any],
        weight: int,
        *,
        over: bool = False,
        known: Mapping[str, SequentialTest] | None = None,
    ) -> list[Judged]:
        tests, judged = self.known(analysis, samples, evidence, known), []
        for metric in analysis.metrics:
            if metric.counts:
                judged.append(_judged(metric, analysis, tests[metric.name]))
            else:
                verdict = metric_verdict(metric, samples, analysis)
                judged.append(Judged(verdict, sure=verdict.judgement == "pass"))
        return judged

    def known(
        self,
        analysis: Analysis,
        samples: list[Sample],
        evidence: Mapping[str, Any],
        known: Mapping[str, SequentialTest] | None,
    ) -> dict[str, SequentialTest]:
        """Where the tests of all counts are after these samples, by metric."""
        alpha = alpha_of_a_test(analysis)
        tests = {}
        for metric in analysis.metrics:
            if metric.counts:
                test = (known or {}).get(metric.name) or SequentialTest(_carried(metric, evidence.get(metric.name)))
                since = test.last.at if test.last else -math.inf
                new = [sample for sample in samples if sample.at > since]
                tests[metric.name] = _count_on(metric, samples_of(metric, new), test, alpha)
        return tests

    def counts_once(self, *, compared: bool) -> bool:
        return True

    def evidence(self, analysis: Analysis, metric: Metric, samples: Sequence[Sample], state: object) -> Evidence | None:
        if not metric.counts:
            return None
        points = curve(metric, samples, state)
        return Evidence(
            against_stable=[(at, value) for at, value, _ in points],
            against_limit=[(at, value) for at, _, value in points],
            threshold=-math.log(alpha_of_a_test(analysis)),
        )


JUDGE = Sequential()


def alpha_of_a_test(analysis: Analysis) -> float:
    """The chance of a false alarm that each test has: the analysis' own, shared over all tests that can decide."""
    tests = sum(2 for metric in analysis.metrics if metric.counts and metric.critical)
    return analysis.alpha / max(2, tests)


def curve(metric: Metric, samples: Iterable[Sample], state: object = None) -> list[tuple[float, float, float]]:
    """How the evidence of a count grew: Unix time, and the natural logarithms of both e-values (stable, limit).

    :param state: what the stage before ended with.
    """
    test, points = _carried(metric, state), []
    for sample in samples_of(metric, samples):
        counts = _counts(sample)
        if counts:
            test = e_values.add(test, counts, tolerance=metric.tolerance)
            points.append((sample.at, *e_values.evidence(test, limit=metric.limit)))
    return points


def good_enough(metric: Metric, state: e_values.State) -> bool:
    """Whether a hold may end early: the canary is surely within the limit, and surely not more than the margin above stable."""
    seen, margin = state.seen, metric.limit / 2 if metric.margin is None else metric.margin
    if not seen.total or e_values.bound(seen.bad, seen.total, e_values.BOUND_ALPHA, upper=True) > metric.limit:
        return False
    return not seen.stable_total or (e_values.excess(state) or 0.0) <= margin


def _carried(metric: Metric, kept: object) -> e_values.State:
    """The evidence of the stage before, where it belongs to the same test: another query, limit or tolerance makes another one."""
    of = kept.get("of") if isinstance(kept, Mapping) else None
    return e_values.State() if of not in (None, _definition(metric)) else e_values.from_json(kept)


def _definition(metric: Metric) -> str:
    """What a metric's test is about, as a short hash: the same in every version of this package, and whatever follows from it."""
    stated = json.dumps([getattr(metric, name) for name in TESTED], sort_keys=True, default=str)
    return hashlib.sha256(stated.encode()).hexdigest()[:12]


def _count_on(metric: Metric, samples: list[Sample], test: SequentialTest, alpha: float) -> SequentialTest:
    """``failed`` as soon as one e-value passes 1/alpha."""
    for sample in samples:
        if test.failed:
            return test
        counts = _counts(sample)
        test = test._replace(last=sample, errors=test.errors + 1 if sample.error is not None else 0)
        if counts is None:
            continue
        state = e_values.add(test.state, counts, tolerance=metric.tolerance)
        test = test._replace(state=state, requests=test.requests + counts.total, measured=test.measured + 1)
        test = test._replace(failed=_failed(metric, state, counts, alpha))
    return test


def _failed(metric: Metric, state: e_values.State, counts: e_values.Counts, alpha: float) -> str | None:
    """How the test fails with these last counts; None: it does not."""
    against_stable, against_limit = e_values.evidence(state, limit=metric.limit)
    enough = -math.log(alpha)
    if max(against_stable, against_limit) > enough:
        return (
            f"surely more than {metric.tolerance:g} times stable's"
            if against_stable > against_limit
            else "surely above the limit"
        )
    if (
        not counts.stable_total and state.seen.stable_total
    ):  # all traffic is the new version's: what stable was still stands
        past = e_values.tolerated_by_past(state.seen, metric.tolerance, alpha / 10)
        if past < metric.limit and e_values.evidence(state, limit=past)[1] > enough:
            return f"surely more than {metric.tolerance:g} times what stable had"
    return None


def _counts(sample: Sample) -> e_values.Counts | None:
    """Whole events; None where the canary's could not be counted. Where only stable's could not, the limit still holds."""
    if not finite(sample.bad) or not finite(sample.total) or sample.total <= 0:
        return None
    total, stable_bad, stable_total = round(sample.total), 0, 0
    if finite(sample.stable_bad) and finite(sample.stable_total):
        stable_total = max(0, round(sample.stable_total))
        stable_bad = min(max(0, round(sample.stable_bad)), stable_total)
    return e_values.Counts(min(max(0, round(sample.bad)), total), total, stable_bad, stable_total)


def _judged(metric: Metric, analysis: Analysis, test: SequentialTest) -> Judged:
    judgement, sentence = _decided(metric, analysis, test)
    state, seen = test.state, test.state.seen
    verdict = MetricVerdict(
        metric=metric.name,
        judgement=judgement,
        value=seen.bad / seen.total if seen.total else None,
        limit=metric.limit,
        measurements=test.measured,
        critical=metric.critical,
        evidence=max(e_values.evidence(state, limit=metric.limit)),
        sentence=sentence,
    )
    kept = {**e_values.to_json(state), "of": _definition(metric)}
    enough = test.requests >= metric.min_requests and test.measured >= analysis.min_measurements
    undecided = (judgement == "inconclusive" and enough) or (judgement == "pass" and speaks_against(metric, test))
    sure = judgement == "pass" and not undecided and good_enough(metric, state)
    stable = seen.stable_bad / seen.stable_total if seen.stable_total else None
    return Judged(verdict, sure, kept, undecided, stable, -math.log(alpha_of_a_test(analysis)))


def _decided(metric: Metric, analysis: Analysis, test: SequentialTest) -> tuple[Judgement, str]:
    last, measured = test.last, test.measured
    if test.failed:
        return "fail", f"{_numbers(metric, test.state)}, {test.failed}"
    if last is not None and test.errors > analysis.error_limit:
        return "error", f"could not measure {label(metric)}: {last.error}"
    if test.requests < metric.min_requests or measured < analysis.min_measurements:
        why = f"{count(test.requests)} requests, at least {metric.min_requests} are needed"
        if test.requests >= metric.min_requests:
            why = f"{measured} of {analysis.min_measurements} measurements"
        elif last is not None and finite(last.total) and not finite(last.bad):
            enough = last.model_copy(update={"total": max(last.total, metric.min_requests)})
            why = measurement(metric, enough).reason
        return "inconclusive", f"could not measure {label(metric)}: {why}"
    seen = test.state.seen
    if seen.bad > metric.limit * seen.total:
        return "inconclusive", f"{_numbers(metric, test.state)}, over the limit, though not surely"
    doubt = ", which speaks against it, though not surely" if speaks_against(metric, test) else ""
    return "pass", f"{_numbers(metric, test.state)}{doubt}"


def speaks_against(metric: Metric, test: SequentialTest) -> bool:
    """Whether the evidence is more likely of a version that is too bad, by more than three to one.

    Where all traffic is the version's, nothing beside it says anything new: then the limit alone counts.
    """
    against_stable, against_limit = e_values.evidence(test.state, limit=metric.limit)
    beside = test.last is not None and finite(test.last.stable_total) and test.last.stable_total > 0
    return max(against_stable if beside else -math.inf, against_limit) > e_values.SUSPICION


def _numbers(metric: Metric, state: e_values.State) -> str:
    bad, total, stable_bad, stable_total = state.seen
    sample = Sample(metric=metric.name, at=0, bad=bad, total=total)
    beside = {"stable_bad": stable_bad, "stable_total": stable_total} if stable_total else {}
    return numbers(metric, sample.model_copy(update=beside))
