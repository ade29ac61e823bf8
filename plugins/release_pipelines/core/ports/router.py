"""Routers: they split the traffic between the tracks of an app."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from release_pipelines.core.seams import Seam

if TYPE_CHECKING:
    from release_pipelines.core.model.target import RouterSettings, Target
    from release_pipelines.core.ports.metrics import MetricDialect

Capability = Literal["match", "mirror", "affinity", "baseline"]
"""What a router may be able to do beside weights: rules for testers, copies of requests, clients that stay with their track,
and a third track that the canary is compared with."""


@dataclass(frozen=True)
class Reserved:
    """Names in what splits the traffic that belong to releases: other tools leave them alone."""

    labels: tuple[str, ...] = ()
    """Labels that a selector picks pods by."""
    annotations: tuple[str, ...] = ()
    """Annotations that are kept with the traffic, also with an app's name and a dot before them."""
    rules: str = ""
    """How a rule that a release has added is told from the others, in words."""


@runtime_checkable
class Router(Protocol):
    """What every router says of itself; all but ``platforms`` has a default, for those that subclass it.

    How it states the traffic depends on the platform, which adds to this protocol: on Kubernetes it is a
    :class:`~release_pipelines.adapters.kubernetes.router.KubernetesRouter`.
    """

    platforms: Collection[str]
    """Names of the platforms that it works on."""
    capabilities: Collection[Capability] = frozenset()
    """What it can do beside weights."""
    mirror_percentages: Collection[int] = range(1, 101)
    """Percentages of the requests that it can mirror, if it can mirror."""
    pods_make_weight: bool = False
    """The tracks share one Service, and a weight is a number of pods: only what whole pods make can be had."""
    settles_within: float = 10.0
    """Time from a change until its data plane follows it, in seconds: so long the old version may still answer."""
    dialect: str | MetricDialect | None = None
    """How its data plane's metrics are named: the name of an installed dialect, or one of its own; None: nobody counts requests."""
    reserved: Reserved = Reserved()
    """What it keeps for itself in what splits the traffic."""


ROUTERS: Seam[Router] = Seam(
    "router", "release_pipelines.adapters.routers", Router, first=("traefik", "gateway_api", "istio", "replicas")
)


def router_of(settings: RouterSettings) -> Router:
    """The router that an environment names.

    :raises ExtensionError: when it is not installed, or cannot be loaded.
    """
    return ROUTERS.get(settings.kind)


def settles_within(target: Target) -> float:
    """Time from a change of the traffic until the data plane follows it, in seconds: the environment's, else the router's."""
    return router_of(target.router).settles_within if target.settles_within is None else target.settles_within


def drains_within(target: Target, retire_after: float) -> float:
    """Time that a track keeps running after it lost its traffic, in seconds (R15): requests come as long as the change is not
    everywhere.

    :param retire_after: what the team wants at least, in seconds.
    """
    return max(retire_after, target.settles_within or 0.0)
