"""Requests that a data plane has counted.

``increase()`` extrapolates to the window's edges: over a short window it gives 20.7 where 20 events were. Bad events and all events
are stretched alike, so shares hold; counts in sentences are rounded. Judges that need exact counts get the growth of the raw
counters, which also has a new series' first events.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterator, Sequence

from release_pipelines.adapters.metrics.sources._counters import Counter, counted
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.measurement import MetricQuery, Sample
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.target import RouterSettings, Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import METRIC_DIALECTS, Lack, Measuring, MetricDialect, Place, RequestMetrics
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
        for place in places:
            if reason := self._uncounted(place.router):
                expected = (
                    f"PromQL of your own (`bad` and `total`): with router `{place.router.kind}` ({place.name}) {reason}"
                )
                yield f"{where}.source", f"`{metric.source}`", expected
                return

    def _uncounted(self, settings: RouterSettings) -> str | None:
        """Why such a router's requests are not counted by track."""
        dialect = dialect_of(settings)
        if dialect is None:
            by_pod = " or ".join(f"`{name}`" for name, it in METRIC_DIALECTS.usable() if counts_pods(it))
            return f"no proxy counts requests; `router.dialect` may name what counts them by pod: {by_pod}"
        if router_of(settings).pods_make_weight and not counts_pods(dialect):
            return f"one Service has the pods of both versions, which `{settings.dialect}` does not tell apart"
        return None

    async def lacks(self, measuring: Measuring) -> list[Lack]:
        from release_pipelines.adapters.metrics.sources._stable import lack_of_requests

        lack = await lack_of_requests(measuring)
        return [lack] if lack else await super().lacks(measuring)

    def time_needed(self, measuring: Measuring, every: float) -> float:
        if JUDGES.get(measuring.analysis.judge).exact_counts:  # raw counters grow with every scrape
            return every + measuring.analysis.interval
        return super().time_needed(measuring, every)

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
    return requests.with_labels(more) if more else requests


def dialect_of(settings: RouterSettings) -> MetricDialect | None:
    """How requests are counted: by the dialect that the environment names, else by the router's; None: nobody counts them."""
    dialect = settings.dialect or router_of(settings).dialect
    return METRIC_DIALECTS.get(dialect) if isinstance(dialect, str) else dialect


def counts_pods(dialect: MetricDialect) -> bool:
    """Whether it tells tracks by their pods."""
    return bool(getattr(dialect, "counts_pods", False))


def union(selectors: list[str]) -> str:
    """All series of these selectors; no two of them have a series in common."""
    return " or ".join(selectors)


def increase(selectors: list[str], window: str) -> str:
    """Events in a window."""
    return f"sum({union([f'increase({it}[{window}])' for it in selectors])})"
