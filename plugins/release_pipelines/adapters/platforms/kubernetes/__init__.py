"""Kubernetes: Deployments of one namespace, and a route, a mesh or a Service's selector that splits their traffic."""

from __future__ import annotations

from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Connections, Platform, PlatformKind
from release_pipelines.core.ports.router import Router


class KubernetesKind(PlatformKind):
    """The connection describes the cluster, as its provider's hook reads it."""

    def fits(self, router: Router) -> bool:
        return "kubernetes" in router.platforms

    def open(self, target: Target, connections: Connections) -> Platform:
        from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes

        return Kubernetes(
            connections.kubernetes_client,
            registry_auth=connections.registry_auth,
            auth_now=connections.registry_auth_now,
        )


PLATFORM = KubernetesKind()
