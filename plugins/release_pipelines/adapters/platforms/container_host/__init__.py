"""The container host: any engine that speaks Docker's API, Traefik in front, and a Valkey that both read."""

from __future__ import annotations

from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.platform import Connections, Platform, PlatformKind
from release_pipelines.core.ports.router import Router

DEFAULT_ENGINE = "unix:///var/run/docker.sock"
DEFAULT_STORE = "redis://127.0.0.1:6379/0"


class ContainerHostKind(PlatformKind):
    """The connection's host is the engine's address; its extra may hold ``state_url``, the address of the store."""

    preview_needs_host = True

    def fits(self, router: Router) -> bool:
        return "container_host" in router.platforms

    def open(self, target: Target, connections: Connections) -> Platform:
        from release_pipelines.adapters.platforms.container_host.platform import ContainerHost
        from release_pipelines.core.address import engine_address

        return ContainerHost(
            engine_url=engine_address(connections.platform) or DEFAULT_ENGINE,
            state_url=connections.platform.extra.get("state_url", DEFAULT_STORE),
            registry_auth=connections.registry_auth,
            auth_now=connections.registry_auth_now,
        )


PLATFORM = ContainerHostKind()
