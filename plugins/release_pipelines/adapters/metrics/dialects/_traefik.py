"""What Traefik's metrics have in common, whoever gives it its services."""

from __future__ import annotations

from release_pipelines.core.ports.metrics import RequestMetrics


def requests_of(service: str) -> RequestMetrics:
    """The requests to one service of Traefik. 499 is its code for a client that gave up; a gRPC status is not told.

    Source: Traefik's documentation, "Metrics", and its handler of errors of the reverse proxy.

    :param service: matcher of its label ``service``.
    """
    return RequestMetrics(
        labels=(service,),
        counter="traefik_service_requests_total",
        failed='code=~"5..|499"',
        histogram="traefik_service_request_duration_seconds",
        alive="traefik_config_reloads_total",
    )
