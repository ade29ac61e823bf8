"""How stable does by the app's own metrics, over the last minutes."""

from __future__ import annotations

import asyncio

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import Sample, finite
from release_pipelines.core.model.sighting import Health, HealthState, MetricSeen
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.units import lasting
from release_pipelines.core.ports.metrics import Measuring, MetricsService, source_of
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.promql import PromQLSource

WINDOW = 300.0
"""What is looked back at, in seconds."""


async def measured(
    target: Target, analysis: Analysis, platform: Platform, service: MetricsService, at: float
) -> Health:
    """Measure stable once. What costs by the question, or asks every replica, is left to releases.

    :param analysis: the app's; its limits count.
    :param at: Unix time in seconds.
    """
    over = analysis.model_copy(update={"judge": "threshold", "window": WINDOW, "interval": WINDOW, "warm_up": 0.0})
    asked = [it for it in analysis.metrics if _is_cheap(it) and source_of(it).measurable(it, target.workload)]
    found = await asyncio.gather(*(_measured(target, it, over, platform, service, at) for it in asked))
    return health_of(list(found), at)


def not_measured(why: str, at: float) -> Health:
    """Nobody could be asked.

    :param why: a sentence.
    """
    return Health(state="not_measured", at=at, sentence=f"not measured: {why}")


def health_of(metrics: list[MetricSeen], at: float) -> Health:
    """All metrics in one: what is over its limit counts most, then what nobody knows."""
    bad = [it for it in metrics if it.state == "over"]
    unknown = [it for it in metrics if it.state == "not_measured"]
    if not metrics:
        return not_measured("the app has no metric that counts requests", at)
    state: HealthState = "over" if bad else "not_measured" if unknown else "ok"
    told = bad or unknown or metrics
    return Health(state=state, at=at, sentence="; ".join(it.sentence for it in told), metrics=metrics)


def judged(metric: Metric, sample: Sample) -> MetricSeen:
    """One sample against the metric's limit."""
    source = source_of(metric)
    label, share = source.label(metric), source.unit(metric) == "share"
    known = {"name": metric.name, "label": label, "limit": metric.limit, "share": share}
    if sample.error is not None:
        return MetricSeen(**known, state="not_measured", sentence=f"{label}: {sample.error}")
    if metric.counts and (not finite(sample.total) or sample.total < metric.min_requests):
        count = f"{sample.total or 0:.0f} {source.events}" if finite(sample.total) else f"no {source.events}"
        why = f"{label}: {count} in the last {lasting(WINDOW)}, {metric.min_requests} are needed"
        return MetricSeen(**known, state="not_measured", total=sample.total, sentence=why)
    if not finite(sample.value):
        why = source.uncounted(metric) if metric.counts else "no number"
        return MetricSeen(**known, state="not_measured", total=sample.total, sentence=f"{label}: {why}")
    state: HealthState = "over" if sample.value > metric.limit else "ok"
    numbers = f"{_number(sample.value, share)}, limit {_number(metric.limit, share)}"
    return MetricSeen(
        **known,
        state=state,
        value=sample.value,
        total=sample.total if metric.counts else None,
        sentence=f"{label}: {numbers}",
    )


def _is_cheap(metric: Metric) -> bool:
    return isinstance(source_of(metric), PromQLSource) and (metric.counts or metric.query is not None)


async def _measured(
    target: Target, metric: Metric, analysis: Analysis, platform: Platform, service: MetricsService, at: float
) -> MetricSeen:
    measuring = Measuring(
        target=target,
        metric=metric,
        track="stable",
        beside=None,
        analysis=analysis,
        started_at=at - WINDOW,
        platform=platform,
        service=service,
    )
    try:
        [sample] = await source_of(metric).samples(measuring, [at])
    except ReleaseError as error:
        sample = Sample(metric=metric.name, at=at, error=str(error))
    return judged(metric, sample)


def _number(value: float, share: bool) -> str:
    return f"{100 * value:.3g} %" if share else f"{value:.4g}"
