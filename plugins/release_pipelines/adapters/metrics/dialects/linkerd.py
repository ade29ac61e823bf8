"""Linkerd: metrics of the proxies that send requests, by the Deployment that they went to.

Source: Linkerd's documentation, "Proxy Metrics". Its ``classification`` knows gRPC's status codes. Latency is that of the first byte.
"""

from __future__ import annotations

from release_pipelines.adapters.metrics.services import track_service
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics
from release_pipelines.core.promql import matcher


class Linkerd(MetricDialect):
    """What those who ask have seen, also where one Service has the pods of all tracks."""

    counts_pods = True

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        return RequestMetrics(
            labels=(
                matcher("direction", "outbound"),
                matcher("dst_namespace", target.namespace),
                matcher("dst_deployment", track_service(target, track)),
            ),
            counter="response_total",
            failed='classification="failure"',
            histogram="response_latency_ms",
            per_second=1000,
            alive="proxy_build_info",
        )


METRIC_DIALECT = Linkerd()
