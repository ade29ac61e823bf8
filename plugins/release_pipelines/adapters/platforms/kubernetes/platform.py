"""A Kubernetes cluster as a place where two versions of an app share traffic by weight."""

from __future__ import annotations

import logging

from release_pipelines.adapters.platforms.kubernetes.jobs import KubernetesJobs
from release_pipelines.adapters.platforms.kubernetes.leases import KubernetesLeases
from release_pipelines.adapters.platforms.kubernetes.probes import KubernetesProbes
from release_pipelines.adapters.platforms.kubernetes.traffic import KubernetesTraffic
from release_pipelines.adapters.platforms.kubernetes.workloads import KubernetesWorkloads
from release_pipelines.core.errors import FenceLost, PlatformError
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Platform

log = logging.getLogger(__name__)


class Kubernetes(KubernetesWorkloads, KubernetesTraffic, KubernetesLeases, KubernetesJobs, KubernetesProbes, Platform):
    """Deployments of one namespace, and a route, a mesh or a Service's selector that splits their traffic.

    Its parts share one :class:`~release_pipelines.adapters.platforms.kubernetes.cluster.Cluster`, with its parameters.
    """

    async def renew_lease(self, target: Target, lease: Lease, ttl: float) -> Lease:
        """Push the expiry out. Whatever the release does at the moment, stable's pods go on being picked."""
        renewed = await super().renew_lease(target, lease, ttl)
        try:
            await self.keep_picking(target, lease.fence)
        except FenceLost:
            raise
        except PlatformError as error:  # the next renewal is near
            log.warning("%s Looking again.", error)
        return renewed
