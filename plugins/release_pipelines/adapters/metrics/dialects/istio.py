"""Istio with sidecars or a gateway: metrics of the Envoys that send requests, which also see a canary that does not answer at all."""

from __future__ import annotations

from release_pipelines.adapters.metrics.dialects._istio import requests_of
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics


class Istio(MetricDialect):
    """What those who ask have seen: other sidecars, and the ingress gateway."""

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        return requests_of(target, track, "source")


METRIC_DIALECT = Istio()
