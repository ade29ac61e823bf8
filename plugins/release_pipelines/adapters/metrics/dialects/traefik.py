"""Traefik in front of a container host: the services are those that the router `traefik` has written for it."""

from __future__ import annotations

from release_pipelines.adapters.metrics.dialects._traefik import requests_of
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics
from release_pipelines.core.promql import matcher


class Traefik(MetricDialect):
    """``<app>-<environment>-<track>@redis``"""

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        return requests_of(matcher("service", f"{target.app}-{target.environment}-{track}@redis"))


METRIC_DIALECT = Traefik()
