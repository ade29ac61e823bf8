"""PromQL: text that is put together, and the metrics for which a team has written its own."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from release_pipelines.core.errors import MetricsUnavailable
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import MetricQuery, Sample
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import Measuring, MetricSource, MetricsService, Place

PLACEHOLDERS = ("app", "track", "namespace", "environment", "window")

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def unknown_placeholders(promql: str) -> list[str]:
    """Names in ``{{ … }}`` that mean nothing."""
    return [name for name in _PLACEHOLDER.findall(promql) if name not in PLACEHOLDERS]


def fill(promql: str, values: Mapping[str, str]) -> str:
    """``promql`` with each ``{{ name }}`` replaced; values must be escaped already.

    :raises KeyError: for a name that is not in ``values``.
    """
    return _PLACEHOLDER.sub(lambda match: values[match[1]], promql)


def duration(seconds: float) -> str:
    """Seconds as PromQL writes them: ``30s``, ``1500ms``."""
    millis = max(1, round(seconds * 1000))
    return f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"


def matcher(label: str, value: str) -> str:
    """``label="value"``"""
    return f'{label}="{escaped(value)}"'


def escaped(value: str) -> str:
    """A label value as it stands between double quotes in PromQL."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def sample_of(metric: Metric, at: float, bad: float | None, total: float | None, value: float | None) -> Sample:
    """The answers as a sample taken ``at`` (Unix time in seconds); for counts the value is bad out of total."""
    if metric.counts:
        known = bad is not None and total is not None and math.isfinite(bad) and math.isfinite(total) and total > 0
        value = bad / total if known else None  # type: ignore[operator]
    return Sample(metric=metric.name, at=at, value=value, bad=bad, total=total)


class PromQLSource(MetricSource):
    """A source that asks one query for each number, over the analysis' window."""

    def query(self, target: Target, metric: Metric, track: Track, window: float) -> MetricQuery:
        """What to ask about one metric on one track.

        :param window: seconds that the measurement looks back.
        :returns: a query with nothing set where nobody has such numbers.
        """
        raise NotImplementedError

    async def samples(self, measuring: Measuring, due: list[float]) -> list[Sample]:
        return list(await asyncio.gather(*(self._sample(measuring, tick) for tick in due)))

    async def _sample(self, measuring: Measuring, tick: float) -> Sample:
        target, metric, service, beside = measuring.target, measuring.metric, measuring.service, measuring.beside
        window = _window(measuring, tick)
        try:
            bad, total, value = await _ask(service, self.query(target, metric, measuring.track, window), tick)
            sample = sample_of(metric, tick, bad, total, value)
            if beside and (metric.counts or JUDGES.get(measuring.analysis.judge).compares):
                bad, total, value = await _ask(service, self.query(target, metric, beside, window), tick)
                other = (bad, total) if metric.counts else (value, 1.0)
                sample = sample.model_copy(update={"stable_bad": other[0], "stable_total": other[1]})
        except MetricsUnavailable as error:
            return Sample(metric=metric.name, at=tick, error=str(error))
        return sample


def window_at(analysis: Analysis, started_at: float, tick: float) -> float:
    """How many seconds the measurement at ``tick`` looks back: never past the stage's start."""
    return max(0.0, min(analysis.window, tick - started_at))


def _window(measuring: Measuring, tick: float) -> float:
    analysis = measuring.analysis
    window = window_at(analysis, measuring.started_at, tick)
    if measuring.metric.counts and JUDGES.get(analysis.judge).counts_once(compared=measuring.beside is not None):
        window = min(window, analysis.interval)
    return window


async def _ask(service: MetricsService, query: MetricQuery, tick: float) -> tuple[float | None, ...]:
    async def one(promql: str | None) -> float | None:
        return await service.query(promql, tick) if promql else None

    return tuple(await asyncio.gather(one(query.bad), one(query.total), one(query.value)))


class OwnPromQL(PromQLSource):
    """PromQL that a team has written: ``bad`` with ``total``, or ``query``."""

    events = "events"

    def counts(self, metric: Metric) -> bool:
        return metric.bad is not None

    def label(self, metric: Metric) -> str:
        return metric.name

    def unit(self, metric: Metric) -> Literal["share", "number"]:
        return "share" if metric.query is None else "number"

    def mistakes(self, where: str, metric: Metric, places: Sequence[Place]) -> Iterator[Mistake]:
        for key in ("bad", "total", "query"):
            for name in unknown_placeholders(getattr(metric, key) or ""):
                known = ", ".join(f"{{{{ {it} }}}}" for it in PLACEHOLDERS)
                yield f"{where}.{key}", f"{{{{ {name} }}}}", f"one of {known}"

    def query(self, target: Target, metric: Metric, track: Track, window: float) -> MetricQuery:
        values = {
            "app": target.app,
            "track": track,
            "namespace": escaped(target.namespace),
            "environment": target.environment,
            "window": duration(window),
        }
        bad, total, value = (fill(text, values) if text else None for text in (metric.bad, metric.total, metric.query))
        return MetricQuery(bad=bad, total=total, value=value)


OWN_PROMQL = OwnPromQL()
