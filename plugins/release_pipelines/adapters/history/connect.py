"""Opens the history at an address; creates or migrates its tables."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from release_pipelines.adapters.history.address import (
    CONNECT_SECONDS,
    LIBPQ_OPTIONS,
    REVISION,
    VERSION_TABLE,
    default_file,
    parts_in,
)
from release_pipelines.adapters.history.errors import reachable
from release_pipelines.adapters.history.store import History

BUSY_SECONDS = 30
"""Time for which SQLite waits for another writer, in seconds."""

LOCK_KEY = 0x72656C65
"""Key of the advisory lock in PostgreSQL; any number that nothing else in this database uses."""


def default_url() -> URL:
    """A SQLite file in ``$RELEASE_PIPELINES_STATE``, else in ``$AIRFLOW_HOME/release_pipelines``."""
    return URL.create("sqlite", database=str(default_file()))


def sqlalchemy_url(
    *,
    conn_type: str,
    host: str | None = None,
    login: str | None = None,
    password: str | None = None,
    schema: str | None = None,
    port: int | None = None,
    extra: dict[str, Any] | None = None,
) -> URL:
    """The parts of a connection as an address for SQLAlchemy.

    :param schema: the database's name; for SQLite the file's path (as ``host`` may be).
    :param extra: libpq options such as ``sslmode``; others are left out.
    :raises ValueError: when the connection is of a kind that the history cannot be kept in.
    """
    kind = conn_type.partition("+")[0]
    if kind == "sqlite":
        return URL.create("sqlite", database=host or schema)
    if kind not in ("postgres", "postgresql"):
        raise ValueError(f"The release history is kept in PostgreSQL or SQLite; its connection says {conn_type!r}.")
    driver = "psycopg2" if importlib.util.find_spec("psycopg2") else "psycopg"
    query = {key: str(value) for key, value in (extra or {}).items() if key in LIBPQ_OPTIONS}
    if host and host.startswith("/"):  # the folder of a Unix socket
        query["host"], host = host, None
    return URL.create(f"postgresql+{driver}", login, password, host, port, schema, query)


def url_from_connection(text_or_uri: str) -> URL:
    """The address in an ``AIRFLOW_CONN_…`` variable, which is JSON or a URI, read without Airflow.

    :raises ValueError: when it is neither.
    """
    return sqlalchemy_url(**parts_in(text_or_uri))


def open_history(url: str | URL, *, make: bool = True) -> History:
    """Open the history; its tables are made or migrated under a lock when they are not current.

    :param url: SQLAlchemy's address of a PostgreSQL database or a SQLite file, whose folder is made.
    :param make: whether a missing SQLite file is created. False: it is a mistake, since an empty history would say that
        nothing happened.
    :raises HistoryUnavailable: when the database cannot be reached.
    :raises ValueError: when the address is none or names no file, or a newer version of this package wrote the history.
    """
    expected = "postgresql://… or sqlite:///… is expected"
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(f"The address of the release history cannot be read; {expected}.") from None
    kind = address.get_backend_name()
    if kind not in ("postgresql", "sqlite"):
        raise ValueError(f"The release history is kept in PostgreSQL or SQLite, not in {kind}; {expected}.")
    file = address.database if kind == "sqlite" else None
    if file and not make and not Path(file).exists():
        raise ValueError(
            f"There is no release history at {file}: a file that `--database` or Airflow's connection `release_history` names is expected."
        )
    engine = _engine(address)
    with reachable(engine):
        if _revision(engine) != REVISION:
            _migrate(engine)
    return History(engine)


def _engine(address: URL) -> Engine:
    # No pool: task processes are forked, and a connection must not be shared over a fork.
    patient = address.get_backend_name() != "postgresql" or "connect_timeout" in address.query
    try:
        engine = create_engine(
            address, poolclass=NullPool, connect_args={} if patient else {"connect_timeout": CONNECT_SECONDS}
        )
    except (ArgumentError, ImportError):
        raise ValueError(f"The driver {address.drivername} of the release history is not installed here.") from None
    if engine.dialect.name != "sqlite":
        return engine
    if not address.database or address.database == ":memory:":
        raise ValueError("A release history in SQLite is a file; its path is missing.")
    folder = Path(address.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
        raise ValueError(f"The folder {folder} of the release history cannot be made: {reason}.") from error

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver shall not begin transactions: the next function does
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # One that reads first and writes later fails at once when another wrote in between, whatever the timeout.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _revision(engine: Engine) -> str | None:
    """The newest migration that the tables have; None where there are no tables.

    :raises ValueError: when the tables are newer than this package.
    """
    with engine.connect() as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        revision: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    if revision is not None and revision > REVISION:
        raise ValueError(
            f"A newer release-pipelines wrote the release history (migration {revision}; this one knows {REVISION}): "
            "install the newer one here too."
        )
    return revision


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    with _lock(engine) as connection:
        config = Config()
        config.set_main_option("script_location", "release_pipelines.adapters.history:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, REVISION)


@contextmanager
def _lock(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that only one process at a time has; Alembic then sees the migrations of the one before."""
    if engine.dialect.name == "sqlite":
        _write_ahead(engine)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        yield connection


def _write_ahead(engine: Engine) -> None:
    """Switch SQLite to write-ahead logging, so that readers and a writer work concurrently.

    SQLite does not wait for other processes while it switches, hence the lock.
    """
    import fcntl

    with Path(f"{engine.url.database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode = WAL")
        finally:
            raw.close()
