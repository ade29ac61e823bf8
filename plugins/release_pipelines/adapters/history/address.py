"""Where the history is, and what it looks like there; nothing here needs the library that speaks to databases, which takes a while to import."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

REVISION = "0009"
"""Newest migration. Revisions are numbers, so that an older package can tell that a database is newer than itself."""

VERSION_TABLE = "release_alembic_version"
"""Not Alembic's default name: the history may share a database with something else that uses Alembic."""

CONNECT_SECONDS = 5
"""Time that PostgreSQL has to take a connection, in seconds, where the connection's extra says nothing else."""

LIBPQ_OPTIONS = {
    "application_name", "connect_timeout", "keepalives", "keepalives_idle", "options", "sslcert", "sslkey", "sslmode",
    "sslrootcert", "target_session_attrs",
}  # fmt: skip


def default_file() -> Path:
    """The history's file where no connection says otherwise: in ``$RELEASE_PIPELINES_STATE``, else in ``$AIRFLOW_HOME/release_pipelines``."""
    home = os.environ.get("AIRFLOW_HOME") or "~/airflow"
    folder = Path(os.environ.get("RELEASE_PIPELINES_STATE") or f"{home}/release_pipelines").expanduser()
    return folder.absolute() / "history.db"


def parts_in(text_or_uri: str) -> dict[str, Any]:
    """The parts of a connection in an ``AIRFLOW_CONN_…`` variable, which is JSON or a URI.

    :raises ValueError: when it is neither.
    """
    try:
        return _json_parts(text_or_uri) if text_or_uri.lstrip().startswith("{") else _uri_parts(text_or_uri)
    except (ValueError, TypeError, AttributeError):  # its words may hold the password
        raise ValueError(
            "The connection of the release history cannot be read: JSON or a URI like postgresql://… is expected, "
            "with a number as its port."
        ) from None


def _json_parts(text_: str) -> dict[str, Any]:
    parts = json.loads(text_)
    extra = parts.get("extra") or {}
    return {
        "conn_type": str(parts.get("conn_type") or ""),
        "port": int(parts["port"]) if parts.get("port") else None,
        "extra": json.loads(extra) if isinstance(extra, str) else extra,
        **{name: parts.get(name) for name in ("host", "login", "password", "schema")},
    }


def _uri_parts(uri: str) -> dict[str, Any]:
    parts = urlsplit(uri)
    if not parts.scheme:
        raise ValueError("no scheme")
    return {
        "conn_type": parts.scheme,
        "host": unquote(parts.hostname) if parts.hostname else None,
        "login": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "schema": unquote(parts.path[1:]) or None,
        "port": parts.port,
        "extra": _extra_of(dict(parse_qsl(parts.query, keep_blank_values=True))),
    }


def _extra_of(query: dict[str, str]) -> dict[str, Any]:
    """The extra in a URI's query: its words, or all of it as JSON in one, as Airflow writes what is more than words."""
    return dict(json.loads(query["__extra__"])) if "__extra__" in query else dict(query)
