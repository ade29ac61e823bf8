"""Traefik as a gateway of the Gateway API, which names the backends of an HTTPRoute anew now and then.

- 3.0: ``<namespace>-<service>-<port>``
- 3.1 to 3.6: the same, with the protocol before the port: ``<namespace>-<service>-http-<port>``
- 3.7: a service for each backend of each rule,
  ``httproute-<namespace>-<route>-gw-<namespace>-<gateway>-ep-<entry point>-<rule>-<hash>-svc-<namespace>-<service>-<backend>``

One regular expression knows them all, so that a gateway may be upgraded at any time. A track's name never fits another's, because what
comes after it is digits only: ``shop-2`` is no backend of ``shop``, as its own number follows.
"""

from __future__ import annotations

import re

from release_pipelines.adapters.metrics.dialects._traefik import requests_of
from release_pipelines.adapters.metrics.services import track_service
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import MetricDialect, RequestMetrics
from release_pipelines.core.promql import escaped


class TraefikGatewayApi(MetricDialect):
    """Backends of HTTPRoutes, in every version's words."""

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        namespace = _text(target.namespace)
        backend = f"{namespace}-{_text(track_service(target, track))}"
        by_port = f"{backend}-(http-|grpc-)?[0-9]+"
        by_rule = f"(http|grpc)route-{namespace}-.+-[0-9a-f]+-svc-{backend}-[0-9]+"
        return requests_of(f'service=~"({by_port}|{by_rule})@kubernetesgateway"')


METRIC_DIALECT = TraefikGatewayApi()


def _text(name: str) -> str:
    """A name in a regular expression. Traefik writes one dash where there are several, in some places."""
    return escaped(re.sub(r"-{2,}", "-+", re.escape(name).replace(r"\-", "-")))
