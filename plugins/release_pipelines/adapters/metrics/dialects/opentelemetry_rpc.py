"""OpenTelemetry's conventions for RPC servers: the app counts its calls by itself.

Source: "Semantic conventions for RPC metrics" (``rpc.server.call.duration``), under the names that Prometheus gives them.
"""

from __future__ import annotations

from release_pipelines.adapters.metrics.dialects._grpc import NAMES, NUMBERS
from release_pipelines.adapters.metrics.services import pod_labels
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics


class OpenTelemetryRpc(MetricDialect):
    """Calls by pod, with gRPC's status codes."""

    counts_pods = True

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        labels, *elsewhere = pod_labels(target, track)
        return RequestMetrics(
            labels=labels,
            elsewhere=tuple(elsewhere),
            counter="rpc_server_call_duration_seconds_count",
            failed=f'rpc_response_status_code=~"{NAMES}|{NUMBERS}"',
            also_failed=('rpc_response_status_code="",error_type!=""',),
            histogram="rpc_server_call_duration_seconds",
        )


METRIC_DIALECT = OpenTelemetryRpc()
