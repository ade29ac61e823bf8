"""Airflow connection ``release_history`` → the release history."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from release_pipelines.adapters.history import History
    from release_pipelines.adapters.history.missed import Missed, Write

log = logging.getLogger(__name__)


class HistoryHook(BaseHook):
    """The database of all releases.

    :param history_conn_id: a database connection (PostgreSQL). Where it is not defined the history is a SQLite file,
        which serves as long as everything runs on one machine.
    """

    def __init__(self, history_conn_id: str = "release_history") -> None:
        super().__init__()
        self.history_conn_id = history_conn_id

    def history(self) -> History:
        """The history, its tables made or migrated when needed, and what it missed written."""
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


def record(opened: Callable[[], History], write: Write, release: str | int, *arguments: Any) -> None:
    """Write to the history what has happened already. Never raises: nothing is undone, nor left undone, because it cannot be told.

    What the history cannot take now is kept, and written when it is opened again.

    :param opened: opens the history.
    :param write: a method of the history.
    :param release: the release's id, or that of the command.
    :param arguments: the method's further arguments, in its order.
    """
    from release_pipelines.adapters.history import UnknownRelease, VersionTaken

    try:
        getattr(opened(), write)(release, *arguments)
    except (UnknownRelease, VersionTaken) as refusal:
        log.info("%s", refusal)
    except Exception as error:
        log.warning("%s What it missed (%s) is written later.", str(error).partition("\n")[0], write)
        keep(write, release, *arguments)


def keep(write: Write, release: str | int, *arguments: Any) -> None:
    """Keep what the history cannot take now; see :func:`record`."""
    try:
        _missed().keep(write, (release, *arguments))
    except OSError as failure:
        log.warning("What the history missed (%s of %s) cannot be kept either: %s.", write, release, failure)


def _missed() -> Missed:
    from release_pipelines.adapters.history.missed import Missed
    from release_pipelines.spec.frozen import state_folder

    return Missed(state_folder() / "missed")


def _opened(connection: Connection | None) -> History:
    from release_pipelines.adapters.history import HistoryUnavailable

    history = _open(connection)
    try:
        _missed().catch_up(history)
    except (HistoryUnavailable, OSError) as error:  # one that only reads still answers
        log.warning("What the history missed is not written yet: %s", error)
    return history


def _open(connection: Connection | None) -> History:
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
