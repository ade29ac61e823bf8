"""Ingress NGINX, which counts requests by the Service that they went to.

Source: the controller's documentation, "Monitoring" ("Request metrics"). Its labels ``namespace`` and ``service`` are called
``exported_…`` where Prometheus has given those names to the controller itself. 499 is NGINX' code for a client that gave up.
"""

from __future__ import annotations

from release_pipelines.adapters.metrics.services import track_service
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics
from release_pipelines.core.promql import matcher


class NginxIngress(MetricDialect):
    """Requests by Service."""

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        namespace, service = target.namespace, track_service(target, track)
        return RequestMetrics(
            labels=(matcher("exported_namespace", namespace), matcher("exported_service", service)),
            elsewhere=((matcher("namespace", namespace), matcher("service", service)),),
            counter="nginx_ingress_controller_requests",
            failed='status=~"5..|499"',
            histogram="nginx_ingress_controller_request_duration_seconds",
            alive="nginx_ingress_controller_success",
        )


METRIC_DIALECT = NginxIngress()
