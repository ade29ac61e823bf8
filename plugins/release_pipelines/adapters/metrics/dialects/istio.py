"""Istio: metrics of the Envoys that send requests, which also see a canary that does not answer at all."""

from __future__ import annotations

from release_pipelines.adapters.metrics.services import track_service
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics
from release_pipelines.core.promql import matcher


class Istio(MetricDialect):
    """Requests by their destination's Service."""

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        return RequestMetrics(
            labels=(
                matcher("reporter", "source"),
                matcher("destination_service_namespace", target.namespace),
                matcher("destination_service_name", track_service(target, track)),
            ),
            counter="istio_requests_total",
            failed='response_code=~"5.."',
            histogram="istio_request_duration_milliseconds",
            per_second=1000,
        )


METRIC_DIALECT = Istio()
