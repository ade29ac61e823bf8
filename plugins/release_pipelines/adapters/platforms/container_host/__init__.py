"""The container host: any engine that speaks Docker's API, Traefik in front, and a Valkey that both read."""

from release_pipelines.adapters.platforms.container_host.platform import ContainerHost

__all__ = ["ContainerHost"]
