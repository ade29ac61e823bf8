"""Requests that took longer than ``slower_than``: all, minus those in the histogram's bucket that ends there."""

from __future__ import annotations

from release_pipelines.adapters.metrics.sources._counters import Counter
from release_pipelines.adapters.metrics.sources._requests import Requests, increase
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.ports.metrics import RequestMetrics
from release_pipelines.core.promql import matcher


class SlowRequests(Requests):
    """Slow requests out of all requests."""

    def label(self, metric: Metric) -> str:
        return f"share of requests over {metric.slower_than:g} s"

    def uncounted(self, metric: Metric) -> str:
        return f"slow requests could not be counted: no histogram bucket ends at {metric.slower_than:g} s"

    def counter(self, requests: RequestMetrics, metric: Metric) -> Counter:
        return Counter(requests.selector(f"{requests.histogram}_count"), _fast(requests, metric), part_is_good=True)

    def bad(self, requests: RequestMetrics, metric: Metric, window: str) -> str:
        # A bucket that does not exist leaves the answer empty, which is inconclusive and must stay so.
        return f"clamp_min({self.total(requests, window)} - {increase(_fast(requests, metric), window)}, 0)"

    def total(self, requests: RequestMetrics, window: str) -> str:
        return increase(requests.selector(f"{requests.histogram}_count"), window)


METRIC_SOURCE = SlowRequests()


def _fast(requests: RequestMetrics, metric: Metric) -> str:
    return requests.selector(f"{requests.histogram}_bucket", _bucket(metric.slower_than * requests.per_second))


def _bucket(bound: float) -> str:
    """The bucket that ends at ``bound``; whole numbers are written ``1`` or ``1.0``, depending on who writes them."""
    text = f"{bound:.12g}"
    return f'le=~"{text}([.]0)?"' if text.isdigit() else matcher("le", text)
