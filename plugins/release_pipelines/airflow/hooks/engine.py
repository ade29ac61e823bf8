"""Airflow connection of kind ``container_host`` → a container engine that builds and pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from release_pipelines.airflow.connections import values_of
from release_pipelines.core.errors import PlatformError

if TYPE_CHECKING:
    from docker import APIClient

    from release_pipelines.adapters.builders.engine import Engine
    from release_pipelines.core.ports.builder import Builder


class EngineHook(BaseHook):
    """A Docker or Podman engine, here or elsewhere.

    The connection's host is its address (``unix:///…``, ``tcp://…``); its extra may hold ``build_args`` for every build
    and, for an engine behind TLS, ``tls``: paths of ``ca``, ``cert`` and ``key``.

    :param engine_conn_id: the connection.
    """

    conn_name_attr = "engine_conn_id"
    default_conn_name = "container_engine"
    conn_type = "container_host"
    hook_name = "Container host"

    def __init__(self, engine_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.engine_conn_id = engine_conn_id

    def builder(self) -> Builder:
        """What builds images: the engine, or the builder of another package that is called like the connection's type."""
        from release_pipelines.core.ports.builder import builder

        return builder(values_of(self.get_connection(self.engine_conn_id)))

    def get_conn(self, timeout: float = 60) -> APIClient:
        """The engine's client.

        :param timeout: maximum silence of the engine, in seconds.
        :raises PlatformUnavailable: when the engine does not answer.
        """
        return self._engine().client(timeout)

    @property
    def build_args(self) -> dict[str, str]:
        """Build arguments that every build on this engine gets."""
        return self._engine().build_args

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's connection form does."""
        try:
            return True, self._engine().check()
        except PlatformError as error:
            return False, str(error)

    def _engine(self) -> Engine:
        from release_pipelines.adapters.builders.engine import Engine

        return Engine(values_of(self.get_connection(self.engine_conn_id)))


class BuildKitHook(BaseHook):
    """A BuildKit daemon. What builds images takes it like an engine, by :class:`EngineHook`.

    The connection's host is its address (``tcp://…``, ``unix:///…``); its extra may hold ``build_args`` for every build and ``tls``: paths of
    ``ca``, ``cert`` and ``key``.

    :param engine_conn_id: the connection.
    """

    conn_name_attr = "engine_conn_id"
    default_conn_name = "buildkit"
    conn_type = "buildkit"
    hook_name = "BuildKit"

    def __init__(self, engine_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.engine_conn_id = engine_conn_id

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's connection form does."""
        from release_pipelines.adapters.builders.buildkit import BuildKitDaemon

        try:
            return True, BuildKitDaemon(values_of(self.get_connection(self.engine_conn_id))).check()
        except PlatformError as error:
            return False, str(error)
