"""OpenTelemetry's conventions for RPC servers: the app counts its calls by itself.

Source: "Semantic conventions for RPC metrics" (``rpc.server.call.duration``), under the names that Prometheus gives them.
"""

from __future__ import annotations

from release_pipelines.adapters.metrics.dialects._grpc import NAMES, NUMBERS
from release_pipelines.adapters.metrics.dialects._opentelemetry import requests_of
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics


class OpenTelemetryRpc(MetricDialect):
    """Calls by pod, with gRPC's status codes."""

    counts_pods = True

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        histogram = "rpc_server_call_duration_seconds"
        return requests_of(target, track, histogram, "rpc_response_status_code", f"{NAMES}|{NUMBERS}")


METRIC_DIALECT = OpenTelemetryRpc()
