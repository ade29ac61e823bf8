"""The container host as a platform: containers of one engine, weights in a proxy, everything that changes in one store."""

from __future__ import annotations

from release_pipelines.adapters.platforms.container_host.jobs import HostJobs
from release_pipelines.adapters.platforms.container_host.leases import HostLeases
from release_pipelines.adapters.platforms.container_host.probes import HostProbes
from release_pipelines.adapters.platforms.container_host.traffic import HostTraffic
from release_pipelines.adapters.platforms.container_host.workloads import HostWorkloads
from release_pipelines.core.ports.platform import Platform


class ContainerHost(HostWorkloads, HostTraffic, HostLeases, HostJobs, HostProbes, Platform):
    """Replicas as containers on one host, published on its loopback; a proxy in front, configured through a store.

    Its parts share one :class:`~release_pipelines.adapters.platforms.container_host.host.Host`, with its parameters.
    """
