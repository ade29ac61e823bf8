"""Requests that a data plane has counted.

``increase()`` extrapolates to the window's edges: over a short window it gives 20.7 where 20 events were. Bad events and all events
are stretched alike, so shares hold; counts in sentences are rounded. Judges that need exact counts get the growth of the raw
counters, which also has a new series' first events.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace

from release_pipelines.adapters.metrics.sources._counters import Counter, counted
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.measurement import MetricQuery, Sample
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.target import RouterSettings, Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import METRIC_DIALECTS, Measuring, MetricDialect, Place, RequestMetrics
from release_pipelines.core.ports.router import router_of
from release_pipelines.core.promql import PromQLSource, duration, sample_of


class Requests(PromQLSource):
    """Bad requests out of all requests."""

    @abstractmethod
    def counter(self, requests: RequestMetrics, metric: Metric) -> Counter:
        """The raw counters of bad and of all requests."""

    @abstractmethod
    def bad(self, requests: RequestMetrics, metric: Metric, window: str) -> str:
        """PromQL that counts bad requests in a window."""

    @abstractmethod
    def total(self, requests: RequestMetrics, window: str) -> str:
        """PromQL that counts all requests in a window."""

    def counts(self, metric: Metric) -> bool:
        return True

    def mistakes(self, where: str, metric: Metric, places: Sequence[Place]) -> Iterator[Mistake]:
        uncounted = [place for place in places if dialect_of(place.router) is None]
        if uncounted:
            yield (
                f"{where}.source",
                f"`{metric.source}`",
                f"PromQL of your own (`bad` and `total`): with router `{uncounted[0].router.kind}` ({uncounted[0].name}) "
                "no proxy counts requests",
            )

    def query(self, target: Target, metric: Metric, track: Track, window: float) -> MetricQuery:
        requests = requests_to(target, track)
        if requests is None:
            return MetricQuery()
        text = duration(window)
        return MetricQuery(bad=self.bad(requests, metric, text), total=self.total(requests, text))

    async def samples(self, measuring: Measuring, due: list[float]) -> list[Sample]:
        if (
            not JUDGES.get(measuring.analysis.judge).exact_counts
            or requests_to(measuring.target, measuring.track) is None
        ):
            return await super().samples(measuring, due)
        tracks: list[Track] = [measuring.track, *([measuring.beside] if measuring.beside else [])]
        # All answers before anything is counted: an error counts nothing twice, and loses nothing.
        answers = await asyncio.gather(*(self._values(measuring, track, due) for track in tracks))
        counts = []
        for track, (counter, totals, parts) in zip(tracks, answers, strict=True):
            found, known = counted(
                counter, measuring.memory.get(track), totals, parts, due, served_before=track == "stable"
            )
            measuring.memory[track] = known
            counts.append(found)
        samples = []
        for tick, (bad, total), *others in zip(due, *counts, strict=True):
            sample = sample_of(measuring.metric, tick, bad, total, None)
            for stable_bad, stable_total in others:
                sample = sample.model_copy(update={"stable_bad": stable_bad, "stable_total": stable_total})
            samples.append(sample)
        return samples

    async def _values(
        self, measuring: Measuring, track: Track, due: list[float]
    ) -> tuple[Counter, list[dict[str, float]], list[dict[str, float]]]:
        """All events and their part, at every tick from the last one that is known, or from the stage's start."""
        requests = requests_to(measuring.target, track)
        assert requests is not None  # noqa: S101 - the router counts the other track's requests, so it counts these
        counter = self.counter(requests, measuring.metric)
        interval, known = measuring.analysis.interval, measuring.memory.get(track)
        start = known.at + interval if known else measuring.started_at
        totals, parts = await asyncio.gather(
            measuring.service.series(counter.total, start, due[-1], interval),
            measuring.service.series(counter.part, start, due[-1], interval),
        )
        return counter, totals, parts


def requests_to(target: Target, track: Track) -> RequestMetrics | None:
    """What is counted of a track's requests, with the matchers that the environment adds; None: nothing is."""
    dialect = dialect_of(target.router)
    if dialect is None:
        return None
    requests, more = dialect.requests(target, track), target.router.metrics_selector
    return replace(requests, labels=(*requests.labels, more)) if more else requests


def dialect_of(settings: RouterSettings) -> MetricDialect | None:
    """How the metrics of a router's data plane are named; None: it counts no requests."""
    dialect = router_of(settings).dialect
    return METRIC_DIALECTS.get(dialect) if isinstance(dialect, str) else dialect


def increase(selector: str, window: str) -> str:
    """Events in a window."""
    return f"sum(increase({selector}[{window}]))"
