"""What a metric and its numbers are in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import Sample, finite
from release_pipelines.core.ports.metrics import source_of


def label(metric: Metric) -> str:
    """The metric in a sentence."""
    return source_of(metric).label(metric)


def limits(analysis: Analysis) -> str:
    """What the critical metrics must keep, like ``error rate ≤ 1 %, share of requests over 0.5 s ≤ 1 %``."""
    return ", ".join(
        f"{label(metric)} ≤ {shown(metric, metric.limit)}" for metric in analysis.metrics if metric.critical
    )


def shown(metric: Metric, value: float) -> str:
    """A value of the metric in a sentence: a share in percent, or a number."""
    return share(value) if source_of(metric).unit(metric) == "share" else f"{value:.4g}"


def numbers(metric: Metric, sample: Sample) -> str:
    """``error rate 4.8 % over 1,204 requests, limit 1 % (stable: 0.1 %)``"""
    if not metric.counts:
        return f"{label(metric)} {shown(metric, sample.value or 0.0)}, limit {shown(metric, metric.limit)}"
    bad, total = sample.bad or 0.0, sample.total or 1.0
    events = source_of(metric).events
    text = f"{label(metric)} {share(bad / total)} over {count(total)} {events}, limit {share(metric.limit)}"
    if finite(sample.stable_bad) and finite(sample.stable_total) and sample.stable_total:
        text += f" (stable: {share(sample.stable_bad / sample.stable_total)})"
    return text


def share(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.3g} %" if abs(value) < 1 else f"{100 * value:,.0f} %"


def count(value: float | None) -> str:
    """A number of events."""
    return f"{round(value or 0):,}"


def utc(at: float) -> str:
    """A Unix time in seconds as people read it: UTC, to the second."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def either(words: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return " or ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
