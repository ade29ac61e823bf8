"""A router, with the dialect of its metrics."""

from __future__ import annotations

from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import RequestMetrics
from release_pipelines.core.ports.router import Router


class EdgeDialect:
    """What the edge counts."""

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        return RequestMetrics(
            labels=(f'backend="{target.app}-{track}"',),
            counter="edge_requests_total",
            failed='code=~"5.."',
            histogram="edge_request_seconds",
        )


class Edge(Router):
    """Splits the traffic of container hosts by weight, and can do nothing else."""

    platforms = ("container_host",)
    dialect = EdgeDialect()


ROUTER = Edge()
