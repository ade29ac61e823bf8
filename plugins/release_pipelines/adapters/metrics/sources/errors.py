"""Requests that failed: what the data plane answered with 5xx."""

from __future__ import annotations

from release_pipelines.adapters.metrics.sources._counters import Counter
from release_pipelines.adapters.metrics.sources._requests import Requests, increase
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.ports.metrics import RequestMetrics


class Errors(Requests):
    """Failed requests out of all requests."""

    def label(self, metric: Metric) -> str:
        return "error rate"

    def counter(self, requests: RequestMetrics, metric: Metric) -> Counter:
        failed = requests.selector(requests.counter, requests.failed)
        return Counter(requests.selector(requests.counter), failed, part_is_good=False)

    def bad(self, requests: RequestMetrics, metric: Metric, window: str) -> str:
        # No 5xx means no series.
        return f"{increase(requests.selector(requests.counter, requests.failed), window)} or vector(0)"

    def total(self, requests: RequestMetrics, window: str) -> str:
        return increase(requests.selector(requests.counter), window)


METRIC_SOURCE = Errors()
