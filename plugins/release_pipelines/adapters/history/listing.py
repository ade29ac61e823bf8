"""The list of releases, read without the library that speaks to databases: importing that takes longer than all the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from release_pipelines.adapters.history.address import CONNECT_SECONDS, LIBPQ_OPTIONS, REVISION, VERSION_TABLE

COLUMNS = ("id", "app", "version", "outcome", "digest", "sentence", "started_at", "ended_at", "requester")
APPROVER = (
    "(SELECT a.\"by\" FROM release_approvals a WHERE a.release_id = r.id AND a.decision IN ('approved', 'rejected') "
    "ORDER BY a.decision, a.id DESC LIMIT 1)"
)
"""Who approved it; where nobody did, who rejected it: in the alphabet approved comes first."""
STARTED = "(SELECT e.data FROM release_events e WHERE e.release_id = r.id AND e.kind = 'started' ORDER BY e.id LIMIT 1)"


class Listed(NamedTuple):
    """A release in a list; times are Unix times in seconds."""

    id: str
    app: str
    version: str
    outcome: str | None
    digest: str | None
    sentence: str | None
    started_at: float
    ended_at: float | None
    requester: str | None
    approver: str | None
    started_by: str | None


def listed(parts: Mapping[str, Any], app: str | None, limit: int) -> list[Listed] | None:
    """The releases, newest first, as :meth:`~release_pipelines.adapters.history.store.History.releases` has them.

    :param parts: of the history's connection.
    :param app: of this app; None: of all.
    :return: None where it cannot be read so: it is away, or its tables are of another version. Who asks the history itself is told why.
    """
    try:
        return _listed(parts, app, limit)
    except Exception:
        return None


def _listed(parts: Mapping[str, Any], app: str | None, limit: int) -> list[Listed] | None:
    sign = "?" if is_file(parts) else "%s"
    where, values = (f"WHERE r.app = {sign}", (app, limit)) if app is not None else ("", (limit,))
    columns = ", ".join(f"r.{it}" for it in COLUMNS)
    # Nothing but names of our own stands in the text.
    query = f"SELECT {columns}, {APPROVER}, {STARTED} FROM releases r {where} ORDER BY r.started_at DESC LIMIT {sign}"  # noqa: S608
    connection = _connected(parts)
    try:
        cursor = connection.cursor()
        cursor.execute(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608
        if cursor.fetchone() != (REVISION,):
            return None
        cursor.execute(query, values)
        return [Listed._make([*row[:-1], _by(row[-1])]) for row in cursor.fetchall()]
    finally:
        connection.close()


def _by(data: Any) -> str | None:
    """Who started a run for somebody else, in the data of its event: JSON, or text where the database knows no other."""
    known = json.loads(data) if isinstance(data, (str, bytes)) else data
    return known.get("by") if isinstance(known, dict) else None


def is_file(parts: Mapping[str, Any]) -> bool:
    """Whether the history is a SQLite file."""
    return str(parts["conn_type"]).partition("+")[0] == "sqlite"


def _connected(parts: Mapping[str, Any]) -> Any:
    if is_file(parts):
        import sqlite3
        from urllib.parse import quote

        file = quote(str(parts.get("host") or parts.get("schema")))
        return sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=CONNECT_SECONDS)
    given = {
        "host": parts.get("host"),
        "port": parts.get("port"),
        "user": parts.get("login"),
        "password": parts.get("password"),
        "dbname": parts.get("schema"),
        "connect_timeout": CONNECT_SECONDS,
        **{key: str(value) for key, value in (parts.get("extra") or {}).items() if key in LIBPQ_OPTIONS},
    }
    arguments: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, "")}
    driver = import_module("psycopg2" if find_spec("psycopg2") else "psycopg")  # as the history itself does
    return driver.connect(**arguments)
