"""Notes on runs while they go on, where Airflow's list of runs shows them.

Airflow takes them over its REST API alone, so they need the connection ``airflow_api`` (type ``http``: host, and login and password of a
user who may edit runs, or a token as its password). Without it nothing is noted before the end; the end is noted by the listener.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.core.model.release_id import run_of
from release_pipelines.core.text import clean

if TYPE_CHECKING:
    from release_pipelines.core.model.connection import Connection
    from release_pipelines.core.model.notice import Waiting

log = logging.getLogger(__name__)

CONNECTION = "airflow_api"
TIMEOUT = 5.0
"""Maximum time for an answer, in seconds."""
LOOK_SECONDS = 60.0
"""Time after which the connection is read again, in seconds, and a token is asked for anew."""
NOTE_LIMIT = 1000
"""Longest note that Airflow takes, in characters."""


class _Known:
    """What this process knows of the connection, so that a thousand notes read it once."""

    read_at = -LOOK_SECONDS
    connection: Connection | None = None
    token: str | None = None


async def note_run(release: str, sentence: str) -> None:
    """Put a note on the run of a release. Never raises: a note decides nothing.

    :param release: the release's id.
    """
    try:
        if time.monotonic() - _Known.read_at >= LOOK_SECONDS:
            _Known.read_at, _Known.token, _Known.connection = time.monotonic(), None, None
            _Known.connection = await _connection()
        if _Known.connection is not None:
            await asyncio.to_thread(_patch, _Known.connection, run_of(release), sentence)
    except Exception as error:
        log.info("The run of %s has no note: %s", release, type(error).__name__)


def note_now(release: str, sentence: str) -> None:
    """The same from a task.

    :param release: the release's id.
    """
    try:
        _patch(_values(BaseHook.get_connection(CONNECTION)), run_of(release), sentence)
    except AirflowNotFoundException:
        return
    except Exception as error:
        log.info("The run of %s has no note: %s", release, type(error).__name__)


def note_waiting(release: str, waiting: Waiting) -> None:
    """Note whom a run waits for, from a task.

    :param release: the release's id.
    """
    until = f" until {waiting.until}" if waiting.until else ""
    note_now(release, f"Waits for {waiting.who or 'a person'}{until}: {waiting.sentence}")


async def _connection() -> Connection | None:
    try:
        return _values(await BaseHook.aget_connection(CONNECTION))
    except AirflowNotFoundException:
        return None


def _values(connection: Any) -> Connection:
    from release_pipelines.airflow.connections import values_of

    return values_of(connection)


def _patch(connection: Connection, run: tuple[str, str], sentence: str) -> None:
    import httpx

    from release_pipelines.adapters.airflow_api import token_of
    from release_pipelines.core.address import web_address

    dag_id, run_id = (quote(it, safe="") for it in run)
    with httpx.Client(base_url=web_address(connection).rstrip("/"), timeout=TIMEOUT) as client:
        _Known.token = _Known.token or token_of(client, connection)
        answer = client.patch(
            f"/api/v2/dags/{dag_id}/dagRuns/{run_id}",
            params={"update_mask": "note"},
            json={"note": clean(sentence, NOTE_LIMIT)},
            headers={"Authorization": f"Bearer {_Known.token}"},
        )
    if answer.is_error:
        _Known.token = None
        log.info("The run %s has no note: Airflow answers with status %s.", run[1], answer.status_code)
