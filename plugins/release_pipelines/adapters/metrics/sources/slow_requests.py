"""Requests that took longer than ``slower_than``: all, minus those in the histogram's bucket that ends there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from release_pipelines.adapters.metrics.sources._counters import Counter
from release_pipelines.adapters.metrics.sources._requests import Requests, dialect_of, increase, requests_to
from release_pipelines.adapters.metrics.sources._stable import lack_of_bucket
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.ports.metrics import Lack, Measuring, Place, RequestMetrics
from release_pipelines.core.promql import matcher


class SlowRequests(Requests):
    """Slow requests out of all requests."""

    def label(self, metric: Metric) -> str:
        return f"share of requests over {metric.slower_than:g} s"

    def uncounted(self, metric: Metric) -> str:
        return f"slow requests could not be counted: no histogram bucket ends at {metric.slower_than:g} s"

    def mistakes(self, where: str, metric: Metric, places: Sequence[Place]) -> Iterator[Mistake]:
        yield from super().mistakes(where, metric, places)
        for place in places:
            if not getattr(dialect_of(place.router), "has_durations", True):
                expected = f"another metric: `{place.router.dialect}` ({place.name}) has no histogram of durations"
                yield f"{where}.source", f"`{metric.source}`", expected

    async def lacks(self, measuring: Measuring) -> list[Lack]:
        lacks, requests = await super().lacks(measuring), requests_to(measuring.target, "stable")
        if requests is None or any(lack.certain for lack in lacks):
            return lacks
        lack = await lack_of_bucket(measuring, requests, _fast(requests, measuring.metric))
        return [*lacks, lack] if lack else lacks

    def counter(self, requests: RequestMetrics, metric: Metric) -> Counter:
        return Counter(tuple(_all(requests)), tuple(_fast(requests, metric)), part_is_good=True)

    def bad(self, requests: RequestMetrics, metric: Metric, window: str) -> str:
        # A bucket that does not exist leaves the answer empty, which is inconclusive and must stay so.
        return f"clamp_min({self.total(requests, window)} - {increase(_fast(requests, metric), window)}, 0)"

    def total(self, requests: RequestMetrics, window: str) -> str:
        return increase(_all(requests), window)


METRIC_SOURCE = SlowRequests()


def _all(requests: RequestMetrics) -> list[str]:
    return requests.selectors(f"{requests.histogram}_count")


def _fast(requests: RequestMetrics, metric: Metric) -> list[str]:
    return requests.selectors(f"{requests.histogram}_bucket", _bucket(metric.slower_than * requests.per_second))


def _bucket(bound: float) -> str:
    """The bucket that ends at ``bound``; whole numbers are written ``1`` or ``1.0``, depending on who writes them."""
    text = f"{bound:.12g}"
    return f'le=~"{text}([.]0)?"' if text.isdigit() else matcher("le", text)
