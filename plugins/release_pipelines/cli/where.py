"""Which history the command asks: the one that it is told, else Airflow's own, and never one that nobody has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from release_pipelines.adapters.history.address import default_file, parts_in
from release_pipelines.adapters.history.listing import is_file
from release_pipelines.spec.folders import airflow_home

CONNECTION = "AIRFLOW_CONN_RELEASE_HISTORY"
NAME = "release_history"
ASK_SECONDS = 60.0
"""Time that Airflow has to say its connection, in seconds."""
SETTINGS = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "AIRFLOW_CONFIG")
"""Variables that say that an Airflow is set up here; so does a file of its settings."""


@dataclass(frozen=True)
class Where:
    """A history.

    :param connection: as an ``AIRFLOW_CONN_…`` variable has it.
    :param why: how it is known, in words.
    """

    connection: str = field(repr=False)
    why: str

    @property
    def parts(self) -> dict[str, Any]:
        """The parts of its address."""
        return parts_in(self.connection)

    @property
    def words(self) -> str:
        """The history in words, without its credentials."""
        parts = self.parts
        if is_file(parts):
            return f"the file {parts['host'] or parts['schema']}"
        port = f":{parts['port']}" if parts["port"] else ""
        return f"the database {parts['schema'] or parts['login']} on {parts['host'] or 'this machine'}{port}"


def where_is(database: str | None) -> Where:
    """Where the history is.

    :param database: what the command was told; None: nothing.
    :raises ValueError: where none is known.
    """
    if database is not None:
        return Where(database, "as --database says")
    if connection := os.environ.get(CONNECTION):
        return Where(connection, f"as {CONNECTION} says")
    if said := airflows_connection():
        return Where(said, f"as Airflow's connection `{NAME}` says")
    file = default_file()
    if not file.exists():
        airflow = (
            "its Airflow has no such connection" if is_airflow_here() else f"no Airflow is set up in {airflow_home()}"
        )
        raise ValueError(
            f"No release history is known here: {CONNECTION} is not set, {airflow}, and there is no file {file}. "
            "Say --database, or set the variables that Airflow runs with."
        )
    return Where(json.dumps({"conn_type": "sqlite", "host": str(file)}), f"since {CONNECTION} is not set")


def airflows_connection(name: str = NAME) -> str | None:
    """What the Airflow that is set up here says of a connection, as JSON; None where it has none, or there is no Airflow."""
    if not is_airflow_here() or surely_none(name):
        return None
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "airflow", "connections", "get", name, "--output", "json"],
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return connection_in(asked.stdout) if asked.returncode == 0 else None


def surely_none(name: str = NAME) -> bool:
    """Whether Airflow's own database has no such connection, and nothing else could: asked directly, since Airflow takes seconds.

    Its credentials are Airflow's to read, so this looks only whether there is one.
    """
    from configparser import ConfigParser, Error

    settings = ConfigParser(interpolation=None, strict=False)
    try:
        settings.read(os.environ.get("AIRFLOW_CONFIG") or airflow_home() / "airflow.cfg")
    except (Error, UnicodeDecodeError):
        return False

    def value(section: str, key: str) -> str:
        return (
            os.environ.get(f"AIRFLOW__{section.upper()}__{key.upper()}")
            or settings.get(section, key, fallback="")
            or ""
        )

    indirect = ("sql_alchemy_conn_cmd", "sql_alchemy_conn_secret")
    if (
        value("secrets", "backend")
        or value("workers", "secrets_backend")
        or any(value("database", it) for it in indirect)
    ):
        return False
    return _has_row(value("database", "sql_alchemy_conn") or f"sqlite:///{airflow_home()}/airflow.db", name) is False


def _has_row(database: str, name: str) -> bool | None:
    """Whether Airflow's database has the connection; None: it cannot be asked."""
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        url = make_url(database)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return None
        with create_engine(url, poolclass=NullPool).connect() as connection:
            found = connection.execute(text("SELECT 1 FROM connection WHERE conn_id = :name"), {"name": name}).first()
    except (ArgumentError, SQLAlchemyError, ImportError, ValueError):
        return None
    return found is not None


def connection_in(printed: str) -> str | None:
    """The connection in what ``airflow connections get --output json`` prints, as an ``AIRFLOW_CONN_…`` variable has it."""
    start = printed.find("[")
    try:
        [found] = json.loads(printed[start:]) if start >= 0 else []
    except ValueError:
        return None
    names = ("conn_type", "host", "login", "password", "schema", "port")
    values = {name: found.get(name) for name in names if found.get(name) not in (None, "", "None")}
    return json.dumps({**values, "extra": found.get("extra_dejson") or {}})


def is_airflow_here() -> bool:
    """Whether an Airflow is set up for whoever gives the command."""
    from importlib.util import find_spec

    set_up = any(os.environ.get(it) for it in SETTINGS) or (airflow_home() / "airflow.cfg").exists()
    return set_up and find_spec("airflow") is not None
