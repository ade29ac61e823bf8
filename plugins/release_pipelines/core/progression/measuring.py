"""Taking measurements: which are due, what is asked, and what the answers amount to as samples (R3, R6)."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from release_pipelines.adapters.metrics.queries import Counter, counter, growth, queries, sample_of
from release_pipelines.airflow.hooks.prometheus import PrometheusError, PrometheusReader
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.judges.judging import ticks, window_at
from release_pipelines.core.model.measurement import MetricQuery, Sample
from release_pipelines.core.model.observation import Usage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track

if TYPE_CHECKING:
    from release_pipelines.core.model.analysis import Analysis, Metric
    from release_pipelines.core.ports.platform import Platform

_Key = tuple[str, Track]


class Measurer:
    """Takes every measurement of a stage that is due, at absolute times, so that a restart takes the same ones.

    For the sequential judge a sample of a ready-made count is what the raw counters grew by since the tick before. For every
    other judge, and for a team's own PromQL, it is what the query gives over the analysis' window; the sequential judge
    has own PromQL count since the tick before, which is as exact as the ``increase()`` in it.

    :param target: the app in its environment.
    :param track: what is judged.
    :param beside: what it is compared with; None: nothing.
    :param analysis: the metrics and how they are judged.
    """

    def __init__(self, target: Target, track: Track, beside: Track | None, analysis: Analysis) -> None:
        self.target = target
        self.track: Track = track
        self.beside: Track | None = beside
        self.analysis = analysis
        self._samples: dict[tuple[str, float], Sample] = {}
        self._known: dict[_Key, tuple[float, dict[str, float], dict[str, float]]] = {}
        self._taken_up_to = -math.inf
        self._reader: PrometheusReader | None = None

    @property
    def samples(self) -> list[Sample]:
        """All samples so far, oldest first."""
        return sorted(self._samples.values(), key=lambda sample: (sample.at, sample.metric))

    @property
    def taken(self) -> int:
        """How many samples there are."""
        return len(self._samples)

    async def take(self, platform: Platform, started_at: float, until: float) -> None:
        """Take what is due up to ``until`` and not there yet.

        :param started_at: Unix time in seconds at which the stage's traffic was accepted.
        """
        due = ticks(started_at, self.analysis.interval, until, self._taken_up_to)
        if not due:
            return
        reader = self._reader = self._reader or await PrometheusReader.of(self.target.prometheus_connection)
        await asyncio.gather(
            *(self._metric(platform, reader, metric, started_at, due) for metric in self.analysis.metrics)
        )
        self._taken_up_to = due[-1]

    async def _metric(
        self, platform: Platform, reader: PrometheusReader, metric: Metric, started_at: float, due: list[float]
    ) -> None:
        missing = [tick for tick in due if (metric.name, tick) not in self._samples]
        if not missing:
            return
        exact = counter(self.target, metric, self.track) if self.analysis.judge == "sequential" else None
        if exact:
            beside = counter(self.target, metric, self.beside) if self.beside else None
            for sample in await self._exact(reader, metric, exact, beside, started_at, missing):
                self._samples[metric.name, sample.at] = sample
            return
        taken = await asyncio.gather(*(self._one(platform, reader, metric, started_at, tick) for tick in missing))
        for sample in taken:
            self._samples[metric.name, sample.at] = sample

    # --- raw counters ---------------------------------------------------------------------------------------------

    async def _exact(
        self,
        reader: PrometheusReader,
        metric: Metric,
        own: Counter,
        beside: Counter | None,
        started_at: float,
        missing: list[float],
    ) -> list[Sample]:
        looked = [(self.track, own), *([(self.beside, beside)] if self.beside and beside else [])]
        try:  # all answers before anything is counted: an error counts nothing twice, and loses nothing
            answers = await asyncio.gather(
                *(self._ranges(reader, (metric.name, track), it, started_at, missing) for track, it in looked)
            )
        except PrometheusError as error:
            return [Sample(metric=metric.name, at=tick, error=str(error)) for tick in missing]
        counted, *others = [
            self._growths((metric.name, track), it, answer, missing)
            for (track, it), answer in zip(looked, answers, strict=True)
        ]
        samples = []
        for n, tick in enumerate(missing):
            bad, total = counted[n]
            sample = sample_of(metric, tick, bad, total, None)
            for other in others:
                sample = sample.model_copy(update={"stable_bad": other[n][0], "stable_total": other[n][1]})
            samples.append(sample)
        return samples

    async def _ranges(
        self, reader: PrometheusReader, key: _Key, selectors: Counter, started_at: float, missing: list[float]
    ) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        """All events and their part, at every tick from the last one that is known, or from the stage's start."""
        interval, known = self.analysis.interval, self._known.get(key)
        start = known[0] + interval if known else started_at
        totals, parts = await asyncio.gather(
            reader.series(selectors.total, start, missing[-1], interval),
            reader.series(selectors.part, start, missing[-1], interval),
        )
        return totals, parts

    def _growths(
        self,
        key: _Key,
        selectors: Counter,
        answer: tuple[list[dict[str, float]], list[dict[str, float]]],
        missing: list[float],
    ) -> list[tuple[float | None, float | None]]:
        """Bad and all events up to each missing tick; what a tick that could not be asked had counts in the next one."""
        totals, parts = answer
        _, total, part = self._known.get(key, (0.0, {}, {}))
        if key not in self._known:
            total, part = dict(totals.pop(0)), dict(parts.pop(0))
        skipped = len(totals) - len(missing)  # ticks of errors before
        counted: list[tuple[float | None, float | None]] = []
        # A version that has just got its first traffic counts from 0. Of one that served all the time a series that appears late
        # is no jump, unless the others were there already: then it is a first error, say.
        born = key[1] != "stable" or bool(total)
        carried_bad = carried = 0.0
        for n, (now_total, now_part) in enumerate(zip(totals, parts, strict=True)):
            grown = growth(total, now_total, born_at_zero=born)
            grown_part = growth(part, now_part, born_at_zero=born)
            total.update(now_total)
            part.update(now_part)
            born = born or bool(total)
            unknown = selectors.part_is_good and not part and grown > 0  # no bucket ends at the bound
            bad = max(0.0, grown - grown_part) if selectors.part_is_good else min(grown_part, grown)
            carried, carried_bad = carried + grown, carried_bad + bad
            if n >= skipped:
                counted.append((None if unknown else carried_bad, carried if total else None))
                carried = carried_bad = 0.0
        self._known[key] = (missing[-1], total, part)
        return counted

    # --- one query each -------------------------------------------------------------------------------------------

    async def _one(
        self, platform: Platform, reader: PrometheusReader, metric: Metric, started_at: float, tick: float
    ) -> Sample:
        if metric.source in ("cpu", "memory"):
            try:
                usage = await platform.usage(self.target, self.track)
                compared = self.beside if self.analysis.judge == "kayenta" else None
                usage_beside = await platform.usage(self.target, compared) if compared else None
            except PlatformError as error:  # a replica that has just gone, or an engine that is away: no measurement
                return Sample(metric=metric.name, at=tick, error=str(error))
            if usage is not None:
                sample = sample_of(metric, tick, None, None, _used(usage, metric))
                beside = {"stable_bad": _used(usage_beside, metric), "stable_total": 1.0} if usage_beside else {}
                return sample.model_copy(update=beside)
        window = window_at(self.analysis, started_at, tick)
        once = self.analysis.judge == "sequential" or (self.analysis.judge == "kayenta" and self.beside)
        if once and metric.counts:
            window = min(
                window, self.analysis.interval
            )  # every event once: a test of counts, or of points, counts on it
        try:
            bad, total, value = await _ask(reader, queries(self.target, metric, self.track, window), tick)
            sample = sample_of(metric, tick, bad, total, value)
            if self.beside and (metric.counts or self.analysis.judge == "kayenta"):
                other = await _ask(reader, queries(self.target, metric, self.beside, window), tick)
                sample = sample.model_copy(
                    update={"stable_bad": other[0], "stable_total": other[1]}
                    if metric.counts
                    else {"stable_bad": other[2], "stable_total": 1.0}
                )
        except PrometheusError as error:
            return Sample(metric=metric.name, at=tick, error=str(error))
        return sample


def _used(usage: Usage | None, metric: Metric) -> float | None:
    if usage is None:
        return None
    return usage.cpu if metric.source == "cpu" else usage.memory


async def _ask(reader: PrometheusReader, query: MetricQuery, tick: float) -> tuple[float | None, ...]:
    async def one(promql: str | None) -> float | None:
        return await reader.query(promql, tick) if promql else None

    return tuple(await asyncio.gather(one(query.bad), one(query.total), one(query.value)))
