"""Kayenta's judge: the canary against a baseline, metric by metric, and a score of 0 to 100 that decides (R3).

A metric is *high* or *low* when the whole confidence interval of its shift lies beyond the tolerance, which is a share of the
shift's own estimate; else it passes. The score is the share of metrics that passed, by groups and their weights.

The facts are those of github.com/spinnaker/kayenta: ``NetflixACAJudge`` (0.98, 0.25), ``MannWhitneyClassifier`` (identical data pass,
effect size by the ratio of means), ``MannWhitney`` (the interval of R's ``wilcox.test`` by normal approximation, with corrections for
ties and continuity) and ``WeightedSumScorer``; the code is our own. Three things differ, on purpose:

- The ends of the interval and the estimate (Hodges and Lehmann 1963: the median of all pairwise differences) are exact here.
  Kayenta's come out of a root finder, to within 1e-6, or anywhere in the middle where the estimate is not unique.
- A metric without data never passes. Kayenta lets it pass where missing numbers are replaced, and counts a group without data as
  100; here the score is open as long as that metric could still decide.
- A mean that comes from or falls to zero is a change of any size. Kayenta calls the ratio 1, or no number, and lets the metric pass.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist, fmean, median
from typing import Any, Literal, NamedTuple

from release_pipelines.core.judges._samples import samples_of
from release_pipelines.core.judges.threshold import measurement, metric_verdict
from release_pipelines.core.model.analysis import Analysis, KayentaSettings, Metric
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.measurement import Judgement, Sample, finite
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.verdict import MetricVerdict
from release_pipelines.core.ports.judge import Judge, Judged
from release_pipelines.core.sentences import label, shown

SCORE = "score"
"""Name of the verdict over all metrics."""

Direction = Literal["increase", "decrease", "either"]


class Kayenta(Judge):
    """Compares the new version's measurements with the other track's, and gives a score."""

    compares = True

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
        if weight >= 100:  # nothing is left to compare with: the limits decide
            return [Judged(metric_verdict(metric, samples, analysis)) for metric in analysis.metrics]
        return [Judged(verdict) for verdict in verdicts(analysis, samples, over=over)]

    def counts_once(self, *, compared: bool) -> bool:
        return compared

    def wants_baseline(self, analysis: Analysis) -> bool:
        return analysis.kayenta.baseline == "fresh"

    def check(self, metrics: Sequence[Metric], settings: Mapping[str, Any]) -> None:
        if "kayenta" not in settings:
            return
        groups, weights = {metric.group for metric in metrics}, settings["kayenta"].group_weights
        if unknown := weights.keys() - groups:
            raise ValueError(f"a metric in every group of `group_weights` is expected: {', '.join(sorted(unknown))}")
        if groups <= weights.keys() and sum(weights.values()) < 100:
            raise ValueError("`group_weights` that add up to 100 are expected where every group has one")
        if any(metric.name == SCORE for metric in metrics):
            raise ValueError(f"another name than `{SCORE}` is expected: Kayenta's judge calls its own result so")

    def mistakes(
        self, where: str, analysis: Analysis, metrics: Sequence[Metric], hold: Hold, *, compared: bool
    ) -> Iterator[Mistake]:
        lost = analysis.kayenta.group_weights.keys() - {metric.group for metric in metrics}
        if lost:
            yield (
                f"{where}.kayenta.group_weights",
                f"points for {', '.join(sorted(lost))}, where only CPU or memory without limits is measured",
                "points for groups that can be measured, or `cpu` and `memory` limits in `workloads`",
            )
        if not compared:
            yield (
                f"{where}.judge",
                f"`{analysis.judge}`",
                "`sequential` or `threshold`: a rolling release has nothing to compare with",
            )
        yield from super().mistakes(where, analysis, metrics, hold, compared=compared)

    def without(self, metric: Metric) -> Metric | None:
        return None  # what nobody can measure would keep the score open


JUDGE = Kayenta()


class Shift(NamedTuple):
    """By how much the canary's values lie above the baseline's: an estimate and its confidence interval."""

    lower: float
    estimate: float
    upper: float


class Comparison(NamedTuple):
    """How one metric's values on the canary compare with those on the baseline."""

    result: Literal["pass", "high", "low"]
    shift: Shift
    ratio: float
    """Ratio of the means, canary to baseline; infinite where the baseline's is zero."""


def shift(canary: Sequence[float], baseline: Sequence[float], confidence: float) -> Shift:
    """The Hodges-Lehmann estimate and the interval that the Mann-Whitney test does not reject.

    :param canary: at least one finite value; so for ``baseline``.
    :param confidence: of the interval, between 0 and 1.
    """
    falling = sorted((x - y for x in canary for y in baseline), reverse=True)
    pairs, size = len(falling), len(canary) + len(baseline)
    ties = sum(n**3 - n for values in (canary, baseline) for n in Counter(values).values())
    sigma = math.sqrt(pairs / 12 * (size + 1 - ties / (size * (size - 1))))
    # U counts the differences above a shift. The test rejects it when U is further than this from the middle.
    reach = 0.5 + NormalDist().inv_cdf((1 + confidence) / 2) * sigma
    most, least = math.floor(pairs / 2 + reach), math.floor(pairs / 2 - reach)
    return Shift(
        lower=falling[most] if most < pairs else falling[-1],
        estimate=median(falling),
        upper=falling[least] if least >= 0 else falling[0],
    )


def compare(
    canary: Sequence[float], baseline: Sequence[float], direction: Direction, settings: KayentaSettings
) -> Comparison:
    """Classify one metric; the values are finite, and there is at least one of each."""
    if sorted(canary) == sorted(baseline) or len({*canary, *baseline}) == 1:
        return Comparison("pass", Shift(0.0, 0.0, 0.0), 1.0)
    change = shift(canary, baseline, settings.confidence)
    ratio = _ratio(fmean(canary), fmean(baseline))
    tolerated = settings.tolerance * abs(change.estimate)
    result: Literal["pass", "high", "low"] = "pass"
    if direction != "decrease" and change.lower > tolerated and ratio >= settings.effect_size:
        result = "high"
    elif direction != "increase" and change.upper < -tolerated and ratio <= 1 / settings.effect_size:
        result = "low"
    return Comparison(result, change, ratio)


def _ratio(canary: float, baseline: float) -> float:
    if baseline:
        return canary / baseline
    return math.copysign(math.inf, canary) if canary else 1.0


def score(judgements: Iterable[tuple[Metric, Judgement]], settings: KayentaSettings) -> tuple[float, float]:
    """The lowest and the highest score that are possible, 0 to 100: equal where every metric passed or failed."""
    judgements = list(judgements)
    return _score(judgements, settings, ("pass",)), _score(judgements, settings, ("pass", "inconclusive", "error"))


def _score(judgements: list[tuple[Metric, Judgement]], settings: KayentaSettings, good: tuple[Judgement, ...]) -> float:
    groups: dict[str, list[bool]] = {}
    for metric, judgement in judgements:
        if metric.critical and judgement not in good:
            return 0.0
        groups.setdefault(metric.group, []).append(judgement in good)
    weights = settings.group_weights
    unnamed = groups.keys() - weights.keys()
    rest = (100 - sum(weights.values())) / len(unnamed) if unnamed else 0.0
    return round(sum(weights.get(name, rest) * fmean(passed) for name, passed in groups.items()), 2)


def verdicts(analysis: Analysis, samples: list[Sample], *, over: bool) -> list[MetricVerdict]:
    """Every metric's verdict, and one named ``score``, which alone decides.

    A score below ``marginal_score`` fails at once. From ``pass_score`` on it passes. In between the canary is watched on, and fails
    when the hold is over: a last score that is not good enough fails in Kayenta, too. As long as a metric that could not be
    measured may still decide, the score is ``inconclusive`` (``error``: the metrics service did not answer).

    :param over: whether the stage's hold is over.
    """
    settings = analysis.kayenta
    metric_verdicts = [(metric, _metric(metric, samples, analysis)) for metric in analysis.metrics]
    worst, best = score(((metric, verdict.judgement) for metric, verdict in metric_verdicts), settings)
    needed = settings.pass_score if over else settings.marginal_score

    def sentences(*judgements: Judgement) -> str:
        return "; ".join(verdict.sentence for _, verdict in metric_verdicts if verdict.judgement in judgements)

    judgement: Judgement = "inconclusive"
    if best < needed:
        judgement, sentence = "fail", f"score {best:g} of 100, {needed:g} is needed: {sentences('fail')}"
    elif worst >= settings.pass_score:
        judgement, sentence = "pass", f"score {worst:g} of 100: {sentences('pass', 'fail', 'inconclusive', 'error')}"
    elif worst == best:
        sentence = (
            f"score {best:g} of 100, {settings.pass_score:g} is needed at the end of the hold: {sentences('fail')}"
        )
    else:
        judgement = "error" if sentences("error") else "inconclusive"
        sentence = sentences("error", "inconclusive")
    value = best if judgement == "fail" else worst
    decides = MetricVerdict(
        metric=SCORE,
        judgement=judgement,
        value=value,
        limit=settings.pass_score,
        measurements=max(verdict.measurements for _, verdict in metric_verdicts),
        evidence=value,
        sentence=sentence,
    )
    return [*(verdict.model_copy(update={"critical": False}) for _, verdict in metric_verdicts), decides]


def _metric(metric: Metric, samples: Iterable[Sample], analysis: Analysis) -> MetricVerdict:
    settings = analysis.kayenta
    own = samples_of(metric, samples)
    canary = _points(metric, ((it.bad, it.total) if metric.counts else (it.value, 1.0) for it in own))
    baseline = _points(metric, ((it.stable_bad, it.stable_total) for it in own))
    other = "stable" if settings.baseline == "stable" else "the baseline"

    def verdict(judgement: Judgement, sentence: str) -> MetricVerdict:
        return MetricVerdict(
            metric=metric.name,
            judgement=judgement,
            value=fmean(canary) if canary else None,
            limit=metric.limit,
            measurements=len(own),
            critical=metric.critical,
            sentence=sentence,
        )

    errors = 0
    for sample in own:
        errors = errors + 1 if sample.error is not None else 0
    if errors > analysis.error_limit:
        return verdict("error", f"could not measure {label(metric)}: {own[-1].error}")
    if min(len(canary), len(baseline)) < settings.min_points:
        why = (
            f"{len(canary)} usable measurements of the canary and {len(baseline)} of {other}, "
            f"at least {settings.min_points} of each are needed"
        )
        last = measurement(metric, own[-1]).reason if own and not canary else None
        return verdict("inconclusive", f"could not measure {label(metric)}: {last or why}")
    comparison = compare(canary, baseline, metric.direction, settings)
    text = f"{label(metric)} {shown(metric, fmean(canary))} over {len(canary)} measurements"
    text += f" ({other}: {shown(metric, fmean(baseline))} over {len(baseline)})"
    if comparison.result == "pass":
        return verdict("pass", f"{text}, no change that counts")
    ends = (
        (comparison.shift.lower, comparison.shift.upper)
        if comparison.result == "high"
        else (-comparison.shift.upper, -comparison.shift.lower)
    )
    direction = "higher" if comparison.result == "high" else "lower"
    size = f"{direction} by {shown(metric, ends[0])} to {shown(metric, ends[1])} at {100 * settings.confidence:g} % confidence"
    return verdict("fail", f"{text}, {size}")


def _points(metric: Metric, pairs: Iterable[tuple[float | None, float | None]]) -> list[float]:
    """Finite ratios of the pairs; of a counting metric those with at least ``min_requests`` events (R3)."""
    least = metric.min_requests if metric.counts else 1
    return [part / whole for part, whole in pairs if finite(part) and finite(whole) and whole >= least]
