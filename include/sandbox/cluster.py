"""The demo on a Kubernetes cluster: what it needs, checked before anything starts, and how Airflow is told of it."""

from __future__ import annotations

from include.sandbox.settings import SandboxError


class Cluster:
    """A Kubernetes cluster as the place of the demo.

    :param context: kubectl context.
    :param registry: registry that this machine and the cluster both reach; empty: the sandbox's own.
    """

    def __init__(self, context: str, registry: str) -> None:
        self.context = context
        self.registry = registry

    def check(self) -> None:
        """Raise with one line when something is missing."""
        raise SandboxError("Not there yet.")

    def variables(self) -> dict[str, str]:
        """Environment variables for Airflow."""
        return {}

    def empty(self) -> None:
        """Remove what earlier releases left in the cluster."""
