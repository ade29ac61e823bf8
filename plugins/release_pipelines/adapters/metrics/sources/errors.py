"""Requests that failed: 5xx, a gRPC status that is the server's fault, and clients that gave up, where the data plane tells them."""

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
        return Counter(tuple(requests.all_requests), tuple(requests.failed_requests), part_is_good=False)

    def bad(self, requests: RequestMetrics, metric: Metric, window: str) -> str:
        # No failed request means no series.
        return f"{increase(requests.failed_requests, window)} or vector(0)"

    def total(self, requests: RequestMetrics, window: str) -> str:
        return increase(requests.all_requests, window)


METRIC_SOURCE = Errors()
