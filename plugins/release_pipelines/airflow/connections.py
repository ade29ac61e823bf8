"""Airflow connection → what adapters, which know no Airflow, need of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines.core.model.connection import Connection

if TYPE_CHECKING:
    from airflow.sdk import Connection as AirflowConnection


def values_of(connection: AirflowConnection) -> Connection:
    """The connection's address and credentials."""
    extra = connection.extra_dejson
    return Connection(
        kind=connection.conn_type or "",
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        extra=extra if isinstance(extra, dict) else {},
        schema=connection.schema,
        name=connection.conn_id,
    )
