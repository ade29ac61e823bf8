"""Routers as pure functions: the object in the cluster and the wanted traffic → the patch; the object → the traffic."""

from release_pipelines.adapters.routers.base import (
    FENCE,
    HASH,
    NOTE,
    PREFIX,
    TRACK,
    TRAFFIC,
    Backends,
    Router,
    annotation,
    applies,
    changed_by,
    fence_of,
    marks,
    note_of,
    route_patch,
)
from release_pipelines.adapters.routers.gateway_api import GatewayApi
from release_pipelines.adapters.routers.istio import Istio
from release_pipelines.adapters.routers.replicas import Replicas

ROUTERS: dict[str, Router] = {"gateway_api": GatewayApi(), "istio": Istio(), "replicas": Replicas()}

__all__ = [
    "FENCE",
    "HASH",
    "NOTE",
    "PREFIX",
    "ROUTERS",
    "TRACK",
    "TRAFFIC",
    "Backends",
    "GatewayApi",
    "Istio",
    "Replicas",
    "Router",
    "annotation",
    "applies",
    "changed_by",
    "fence_of",
    "marks",
    "note_of",
    "route_patch",
]
