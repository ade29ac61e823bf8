"""Airflow connection ``release_history`` → the release history."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from release_pipelines.adapters.history import History


class HistoryHook(BaseHook):
    """The database of all releases.

    :param history_conn_id: a database connection (PostgreSQL). Where it is not defined the history is a SQLite file,
        which serves as long as everything runs on one machine.
    """

    def __init__(self, history_conn_id: str = "release_history") -> None:
        super().__init__()
        self.history_conn_id = history_conn_id

    def history(self) -> History:
        """The history, its tables made or migrated when needed."""
        try:
            connection = self.get_connection(self.history_conn_id)
        except AirflowNotFoundException:
            connection = None
        return _opened(connection)

    async def ahistory(self) -> History:
        """The same for triggers; its methods still block: call them in a thread."""
        try:
            connection = await self.aget_connection(self.history_conn_id)
        except AirflowNotFoundException:
            connection = None
        return await asyncio.to_thread(_opened, connection)


def _opened(connection: Connection | None) -> History:
    from release_pipelines.adapters.history import default_url, open_history, sqlalchemy_url

    if connection is None:
        return open_history(default_url())
    return open_history(
        sqlalchemy_url(
            conn_type=connection.conn_type or "",
            host=connection.host,
            login=connection.login,
            password=connection.password,
            schema=connection.schema,
            port=connection.port,
            extra=connection.extra_dejson,
        )
    )
