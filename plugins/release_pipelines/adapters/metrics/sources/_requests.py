"""Requests that a data plane has counted.

``increase()`` extrapolates to the window's edges: over a short window it gives 20.7 where 20 events were. Bad events and all events
are stretched alike, so shares hold; counts in sentences are rounded. Judges that need exact counts get the growth of the raw
counters, which also has a new series' first events.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise

from release_pipelines.adapters.metrics.sources._counters import (
    ByCounter,
    Counter,
    by_counter,
    counted,
    in_one_query,
    spans_of,
    thinning,
)
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.measurement import MetricQuery, Sample
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.target import RouterSettings, Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import METRIC_DIALECTS, Lack, Measuring, MetricDialect, Place, RequestMetrics
from release_pipelines.core.ports.router import router_of
from release_pipelines.core.promql import LOOK_BACK, PromQLSource, duration, sample_of


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
        interval, every = measuring.analysis.interval, thinning(len(due), measuring.analysis.min_measurements)
        due = due[::-1][::every][::-1]
        looks = await self._looks(measuring, due[-1], every)
        counts = []
        for track in _tracks(measuring):
            totals, parts = (
                [(before.get(f"{track} {what}", {}), now.get(f"{track} {what}", {})) for before, now in looks]
                for what in ("all", "part")
            )
            found, known = counted(
                self._counter(measuring, track),
                measuring.memory.get(track),
                totals,
                parts,
                {len(looks) - 1 - round((due[-1] - tick) / interval / every): tick for tick in due},
                served_before=track == "stable",
            )
            measuring.memory[track] = known
            counts.append(found)
        return [
            sample_of(measuring.metric, tick, bad, total, None, *beside[:1])
            for tick, (bad, total), *beside in zip(due, *counts, strict=True)
        ]

    async def _looks(self, measuring: Measuring, end: float, every: int) -> list[tuple[ByCounter, ByCounter]]:
        """Moments since the last one that is known, or since the stage's start, each with the one before it in the same answer.

        All of them before anything is counted: an error counts nothing twice, and loses nothing.

        :param every: intervals between two of them, counted from the last.
        """
        start = _known_until(measuring)
        counters: dict[str, tuple[tuple[str, ...], float]] = {}
        for track in _tracks(measuring):
            counter, seconds = self._counter(measuring, track), _look_back(measuring, track)
            counters |= {f"{track} all": (counter.total, seconds), f"{track} part": (counter.part, seconds)}
        from release_pipelines.adapters.metrics.prometheus import MOMENTS  # a DAG file is parsed without it

        query = in_one_query(counters)
        spans = spans_of(start, end, measuring.analysis.interval, every, MOMENTS - 1)
        answers = await asyncio.gather(*(measuring.service.series(query, *span) for span in spans))
        return [pair for answer in answers for pair in pairwise(map(by_counter, answer))]

    def _counter(self, measuring: Measuring, track: Track) -> Counter:
        requests = requests_to(measuring.target, track)
        assert requests is not None  # noqa: S101 - the router counts the other track's requests, so it counts these
        return self.counter(requests, measuring.metric)


def _known_until(measuring: Measuring) -> float:
    """Up to when the judged track was counted (Unix time in seconds)."""
    known = measuring.memory.get(measuring.track)
    return known.at if known else measuring.started_at


def _tracks(measuring: Measuring) -> list[Track]:
    return [measuring.track, *([measuring.beside] if measuring.beside else [])]


def _look_back(measuring: Measuring, track: Track) -> float:
    """Seconds that a series may have missed its scrapes: not so many that it is an earlier release's, which counted for itself."""
    if track == "stable":
        return LOOK_BACK
    served = measuring.started_at - (measuring.served_since or measuring.started_at)
    return min(LOOK_BACK, max(0.0, served))


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
