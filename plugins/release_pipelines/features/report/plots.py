"""What a metric's plot shows (R13): the new version and stable over time, the limit, the evidence, the decision.

Pure, and without the library that draws: :mod:`release_pipelines.features.report.drawing` does that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import Judgement, Sample, finite
from release_pipelines.core.model.records import RecordedSample, RecordedVerdict, ReleaseDetail
from release_pipelines.core.model.verdict import MetricVerdict
from release_pipelines.core.ports.judge import JUDGES, Evidence, Judged
from release_pipelines.core.ports.metrics import source_of
from release_pipelines.core.sentences import label
from release_pipelines.core.status.series import MOST_POINTS, of_new, of_stable, thinned

Point = tuple[float, float | None]
"""Unix time in seconds, and a number; None where there was none."""


class Plot(NamedTuple):
    """One metric in one step."""

    name: str
    """Like ``production-step_10-errors``."""
    metric: str
    title: str
    caption: str
    """The metric's verdict as a sentence."""
    measure: str
    """What the numbers are, for the axis."""
    unit: Literal["share", "number"]
    version: str
    new: list[Point]
    stable: list[Point]
    limit: float
    evidence: Evidence | None
    decided_at: float
    judgement: Judgement


class Course(NamedTuple):
    """All steps of a release in one environment: who had how much of the traffic, and every metric beside it."""

    name: str
    """Like ``production-release``."""
    title: str
    caption: str
    """The outcome's sentence."""
    shares: list[tuple[float, int]]
    """When the new version's part of the traffic, or of the replicas, changed, and to how many percent."""
    steps: list[tuple[float, str, Judgement]]
    """When each step was decided, its name, and how."""
    metrics: list[list[Plot]]
    """Every metric, with a plot for each step."""


def course(release: ReleaseDetail, drawn: Sequence[Plot]) -> list[Course]:
    """Each environment's steps in one picture, where there are several.

    :param drawn: the plots of the release.
    """
    verdicts = _last_of_each_step(release.verdicts)
    made = []
    for environment in dict.fromkeys(it.environment for it in verdicts):
        here = [it for it in verdicts if it.environment == environment]
        metrics: dict[str, list[Plot]] = {}
        for step in here:
            for plot in drawn:
                if plot.name.startswith(f"{environment}-{step.step}-") and plot.decided_at == step.decided_at:
                    metrics.setdefault(plot.metric, []).append(plot)
        if len(here) > 1 and metrics:
            made.append(
                Course(
                    name=f"{environment}-release",
                    title=f"{release.app} {release.version} · the whole release in {environment}",
                    caption=release.sentence or "",
                    shares=_shares(release, here),
                    steps=[(it.decided_at, it.step, it.judgement) for it in here],
                    metrics=list(metrics.values()),
                )
            )
    return made


def _shares(release: ReleaseDetail, verdicts: Sequence[RecordedVerdict]) -> list[tuple[float, int]]:
    """A step has its part from its first measurement on; what its verdict gives back is away from then on."""
    changes: list[tuple[float, int]] = []
    for it in verdicts:
        here = (it.environment, it.step)
        own = [sample.at for sample in release.measurements if (sample.environment, sample.step) == here]
        changes.append((min([*own, it.decided_at]), it.weight))
    last = verdicts[-1]
    left = last.weight if last.judgement == "pass" else 0
    return [*changes, (last.accepted_at or last.decided_at, left)]


def plots(release: ReleaseDetail, analyses: Mapping[str, Analysis]) -> list[Plot]:
    """A plot for every metric of every step that was judged by numbers, oldest step first.

    :param release: a release with its measurements.
    :param analyses: how each step was judged, by the step's name; for a step that is not there the evidence is left out.
    """
    made: list[Plot] = []
    known: dict[str, dict[str, Any]] = {}
    for verdict in _last_of_each_step(release.verdicts):
        here = (verdict.environment, verdict.step)
        samples = [it for it in release.measurements if (it.environment, it.step) == here]
        analysis = analyses.get(verdict.step)
        before = known.setdefault(verdict.environment, {})
        judged = _judged(verdict, analysis, samples, before) if analysis else []
        for metric in verdict.metrics or [_until(it.verdict, verdict) for it in judged]:
            own = [it for it in samples if it.metric == metric.metric]
            if not any(finite(it.value) or finite(it.total) for it in own):
                continue
            spec = next((it for it in analysis.metrics if it.name == metric.metric), None) if analysis else None
            made.append(
                Plot(
                    name=f"{verdict.environment}-{verdict.step}-{metric.metric}",
                    metric=metric.metric,
                    title=f"{release.app} {release.version} · {metric.metric} · {verdict.step} in {verdict.environment}",
                    caption=metric.sentence,
                    measure=label(spec) if spec else metric.metric,
                    unit="share" if _share(spec, own) else "number",
                    version=release.version,
                    new=[(it.at, of_new(it)) for it in thinned(own)],
                    stable=[(it.at, of_stable(it)) for it in thinned(own)],
                    limit=metric.limit,
                    evidence=_evidence(analysis, spec, own, before) if analysis and spec else None,
                    decided_at=verdict.decided_at,
                    judgement=metric.judgement,
                )
            )
        before.update({it.verdict.metric: it.state for it in judged if it.state})
    return made


def _judged(
    verdict: RecordedVerdict, analysis: Analysis, samples: list[RecordedSample], before: Mapping[str, Any]
) -> list[Judged]:
    plain = [Sample.model_validate(it.model_dump(exclude={"environment", "step"})) for it in samples]
    return JUDGES.get(analysis.judge).verdicts(analysis, plain, before, verdict.weight)


def _until(metric: MetricVerdict, verdict: RecordedVerdict) -> MetricVerdict:
    """A metric of a step that something else has ended, like an abort: how it stood, and what ended it."""
    return metric.model_copy(update={"sentence": f"{metric.sentence}; then: {verdict.sentence}"})


def _last_of_each_step(verdicts: Iterable[RecordedVerdict]) -> list[RecordedVerdict]:
    """A step that ran again was judged again, with the same samples and more."""
    last = {(it.environment, it.step): it for it in sorted(verdicts, key=lambda it: it.decided_at)}
    return sorted(last.values(), key=lambda it: it.decided_at)


def _evidence(
    analysis: Analysis, metric: Metric, samples: list[RecordedSample], before: Mapping[str, Any]
) -> Evidence | None:
    evidence = JUDGES.get(analysis.judge).evidence(analysis, metric, samples, before.get(metric.name))
    if evidence is None:
        return None
    return Evidence(_thinned(evidence.against_stable), _thinned(evidence.against_limit), threshold=evidence.threshold)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    size = max(1, math.ceil(len(points) / MOST_POINTS))
    return [points[min(n + size, len(points)) - 1] for n in range(0, len(points), size)]


def _share(metric: Metric | None, samples: list[RecordedSample]) -> bool:
    if metric is not None:
        return source_of(metric).unit(metric) == "share"
    return any(it.total is not None for it in samples)
