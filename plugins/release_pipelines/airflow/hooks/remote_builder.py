"""Airflow connections → builders elsewhere: a cluster, a cloud's build service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from release_pipelines.airflow.connections import values_of

if TYPE_CHECKING:
    from release_pipelines.core.model.connection import Connection
    from release_pipelines.core.ports.remote_builder import RemoteBuilder

TIMEOUT = 20.0
"""Maximum time for an answer of AWS, in seconds."""


class RemoteBuilderHook(BaseHook):
    """A builder that fetches the commit itself.

    :param kind: ``codebuild``, ``kubernetes_job``, or one of another package.
    :param builder_conn_id: the connection that leads there: of type ``aws`` or ``kubernetes``.
    :param settings: what this kind has to know.
    """

    def __init__(self, kind: str, builder_conn_id: str, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.builder_conn_id = builder_conn_id
        self.settings = dict(settings or {})

    def builder(self) -> AbstractAsyncContextManager[RemoteBuilder]:
        """The builder, its Airflow connection resolved here, synchronously.

        :raises ValueError: where ``settings``, or the connection's type, do not fit.
        """
        return self._open(values_of(self.get_connection(self.builder_conn_id)))

    @asynccontextmanager
    async def abuilder(self) -> AsyncIterator[RemoteBuilder]:
        """The same for triggers."""
        connection = values_of(await self.aget_connection(self.builder_conn_id))
        async with self._open(connection) as ready:
            yield ready

    def _open(self, connection: Connection) -> AbstractAsyncContextManager[RemoteBuilder]:
        from release_pipelines.core.ports.remote_builder import REMOTE_BUILDERS, Clients

        kind = REMOTE_BUILDERS.get(self.kind)
        if expected := kind.misfit(self.settings):
            raise ValueError(f"The settings of the builder {self.kind} do not fit: {expected} is expected.")
        if connection.kind != kind.connection_type:
            raise ValueError(
                f"The connection {self.builder_conn_id} is of type {connection.kind or 'none'}: one of type {kind.connection_type} is expected "
                f"for the builder {self.kind}."
            )
        return kind.open(connection, Clients(kubernetes=self._kubernetes, aws=self._aws), self.settings)

    def _kubernetes(self) -> AbstractAsyncContextManager[Any]:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook

        return AsyncKubernetesHook(conn_id=self.builder_conn_id).get_conn()

    def _aws(self, service: str, region: str | None) -> Any:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
        from botocore.config import Config

        config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
        return AwsBaseHook(self.builder_conn_id, client_type=service, region_name=region, config=config).get_conn()
