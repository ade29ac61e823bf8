"""OpenTelemetry's conventions for HTTP servers: the app counts by itself, whatever stands in front of it.

Source: "Semantic conventions for HTTP metrics" (``http.server.request.duration``), under the names that Prometheus gives them. A request
without a status code has an ``error_type``: the client went away, or the server failed before it could answer.
"""

from __future__ import annotations

from release_pipelines.adapters.metrics.services import pod_labels
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics


class OpenTelemetryHttp(MetricDialect):
    """Requests by pod. A version that does not answer at all counts nothing."""

    counts_pods = True

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        labels, *elsewhere = pod_labels(target, track)
        return RequestMetrics(
            labels=labels,
            elsewhere=tuple(elsewhere),
            counter="http_server_request_duration_seconds_count",
            failed='http_response_status_code=~"5..|499"',
            also_failed=('http_response_status_code="",error_type!=""',),
            histogram="http_server_request_duration_seconds",
        )


METRIC_DIALECT = OpenTelemetryHttp()
