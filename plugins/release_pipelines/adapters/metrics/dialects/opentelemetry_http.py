"""OpenTelemetry's conventions for HTTP servers: the app counts by itself, whatever stands in front of it.

Source: "Semantic conventions for HTTP metrics" (``http.server.request.duration``), under the names that Prometheus gives them.
"""

from __future__ import annotations

from release_pipelines.adapters.metrics.dialects._opentelemetry import requests_of
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics


class OpenTelemetryHttp(MetricDialect):
    """Requests by pod. A version that does not answer at all counts nothing."""

    counts_pods = True

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        histogram = "http_server_request_duration_seconds"
        return requests_of(target, track, histogram, "http_response_status_code", "5..|499")


METRIC_DIALECT = OpenTelemetryHttp()
