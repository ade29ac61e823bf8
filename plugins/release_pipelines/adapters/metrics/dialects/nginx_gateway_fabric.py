"""NGINX Gateway Fabric with NGINX Plus; without Plus it counts no requests of a Service.

Source: its documentation, "Monitoring with Prometheus and Grafana". Its upstreams are called ``<namespace>_<service>_<port>``. It has averages
of durations and no histogram, so slow requests cannot be counted.
"""

from __future__ import annotations

import re

from release_pipelines.adapters.metrics.services import track_service
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics
from release_pipelines.core.promql import escaped


class NginxGatewayFabric(MetricDialect):
    """Answers by upstream."""

    has_durations = False

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        upstream = f"{re.escape(target.namespace)}_{re.escape(track_service(target, track))}_[0-9]+"
        return RequestMetrics(
            labels=(f'nginx_upstream_name=~"{escaped(upstream)}"',),
            counter="nginx_http_upstream_peer_responses_total",
            failed='nginx_status_range="5xx"',
            alive="nginx_http_requests_total",
        )


METRIC_DIALECT = NginxGatewayFabric()
