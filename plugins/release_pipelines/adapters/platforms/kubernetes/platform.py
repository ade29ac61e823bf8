"""A Kubernetes cluster as a place where two versions of an app share traffic by weight."""

from __future__ import annotations

from release_pipelines.adapters.platforms.kubernetes.jobs import KubernetesJobs
from release_pipelines.adapters.platforms.kubernetes.leases import KubernetesLeases
from release_pipelines.adapters.platforms.kubernetes.probes import KubernetesProbes
from release_pipelines.adapters.platforms.kubernetes.traffic import KubernetesTraffic
from release_pipelines.adapters.platforms.kubernetes.workloads import KubernetesWorkloads
from release_pipelines.core.ports.platform import Platform


class Kubernetes(KubernetesWorkloads, KubernetesTraffic, KubernetesLeases, KubernetesJobs, KubernetesProbes, Platform):
    """Deployments of one namespace, and a route, a mesh or a Service's selector that splits their traffic.

    Its parts share one :class:`~release_pipelines.adapters.platforms.kubernetes.cluster.Cluster`, with its parameters.
    """
