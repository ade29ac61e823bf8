"""Istio in ambient mode: metrics of the waypoint in front of the app. Nobody who asks has an Envoy of its own there."""

from __future__ import annotations

from release_pipelines.adapters.metrics.dialects._istio import requests_of
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics


class IstioWaypoint(MetricDialect):
    """What the waypoint has seen."""

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        return requests_of(target, track, "waypoint")


METRIC_DIALECT = IstioWaypoint()
