"""Envoy's own statistics, as gateways have them whose clusters are called after a Service and its port.

- Contour: ``<namespace>_<service>_<port>``
- Istio's gateways: ``outbound|<port>|<subset>|<service>.<namespace>.svc.<domain>``, in newer versions with a semicolon behind it

Source: Envoy's documentation, "Cluster manager statistics" (``upstream_rq_xx``: every answer, also those that Envoy gives in place of a
Service that gives none), and Contour's "Collecting Metrics with Prometheus". Envoy Gateway has one cluster for all backends of a rule, so
that it does not tell one track from another.
"""

from __future__ import annotations

import re

from release_pipelines.adapters.metrics.services import track_service
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics
from release_pipelines.core.promql import escaped


class Envoy(MetricDialect):
    """Answers by cluster."""

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        namespace, service = re.escape(target.namespace), re.escape(track_service(target, track))
        contour = f"{namespace}_{service}_[0-9]+"
        istio = f"outbound[|][0-9]+[|][^|]*[|]{service}[.]{namespace}[.]svc([.].*)?;?"
        return RequestMetrics(
            labels=(f'envoy_cluster_name=~"{escaped(f"{contour}|{istio}")}"',),
            counter="envoy_cluster_upstream_rq_xx",
            failed='envoy_response_code_class="5"',
            histogram="envoy_cluster_upstream_rq_time",
            per_second=1000,
            alive="envoy_server_live",
        )


METRIC_DIALECT = Envoy()
