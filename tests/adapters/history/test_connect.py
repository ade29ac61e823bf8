"""Where the history is, and how its tables come to be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from release_pipelines.adapters.history import (
    HistoryUnavailable,
    default_url,
    open_history,
    sqlalchemy_url,
    url_from_connection,
)
from release_pipelines.adapters.history.connect import REVISION, VERSION_TABLE
from release_pipelines.adapters.history.tables import metadata
from tests.adapters.history.conftest import artifact, digest, free_port


def work(url: str, number: int) -> int:
    """What one of several tasks does that open a new history at the same time."""
    history = open_history(url)
    name = f"run_{number}"
    for _ in range(2):
        history.begin(name, "shop", "release_shop", name, "1.0.0", "ann")
        history.begin("shared", "shop", "release_shop", "shared", "1.0.0", "ann")
        history.record_artifact(name, artifact("1.0.0", "a"))
        history.record_event("shared", "deployed", f"by {number}", "staging")
        history.record_approval("shared", digest("a"), "approved", name)
        history.promoted("shared")
        history.finish(name, "failed", "No.")
    return len(history.releases())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_many_tasks_open_a_new_history_at_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:  # R6
    url = f"sqlite:///{tmp_path}/history.db" if kind == "sqlite" else request.getfixturevalue("postgres")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [url] * 4, range(4)))
    history = open_history(url)
    assert {it.id for it in history.releases()} == {"shared", "run_0", "run_1", "run_2", "run_3"}
    assert {it.sentence for it in history.release("shared").events} == {f"by {number}" for number in range(4)}
    with history._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == [], "the migrations do not make the tables of tables.py"


def test_the_newest_migration_is_the_one_that_is_expected() -> None:
    config = Config()
    config.set_main_option("script_location", "release_pipelines.adapters.history:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_a_history_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/history.db"
    history = open_history(url)
    with history._engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(ValueError, match="newer release-pipelines wrote the release history"):
        open_history(url)


def test_a_database_that_is_away_is_named_without_its_password() -> None:  # R11
    url = f"postgresql+psycopg2://ann:hunter2@127.0.0.1:{free_port()}/releases"
    with pytest.raises(HistoryUnavailable, match=r"The release history at .*/releases does not answer") as caught:
        open_history(url)
    assert "hunter2" not in str(caught.value)


def test_a_file_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    assert default_url().database == str(tmp_path / "state" / "history.db")
    monkeypatch.delenv("RELEASE_PIPELINES_STATE")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    assert default_url().database == str(tmp_path / "release_pipelines" / "history.db")
    assert open_history(default_url()).releases() == []


def test_a_connection_becomes_an_address() -> None:
    url = sqlalchemy_url(
        conn_type="postgres",
        host="db",
        login="ann",
        password="p@ss/word",
        schema="releases",
        port=5433,
        extra={"sslmode": "require", "other": 1},
    )
    assert (url.host, url.port, url.database, url.password) == ("db", 5433, "releases", "p@ss/word")
    assert dict(url.query) == {"sslmode": "require"}
    assert sqlalchemy_url(conn_type="postgres", host="/run/sock", schema="x").query["host"] == "/run/sock"
    assert sqlalchemy_url(conn_type="sqlite", host="/data/history.db").database == "/data/history.db"
    with pytest.raises(ValueError, match="says 'mysql'"):
        sqlalchemy_url(conn_type="mysql", host="db")


@pytest.mark.parametrize(
    "given",
    [
        '{"conn_type": "postgres", "host": "db", "login": "ann", "password": "p@ss", "schema": "releases", "port": 5433}',
        "postgres://ann:p%40ss@db:5433/releases",
    ],
)
def test_a_connection_in_a_variable_is_read_without_airflow(given: str) -> None:
    url = url_from_connection(given)
    assert (url.host, url.port, url.database, url.username, url.password) == ("db", 5433, "releases", "ann", "p@ss")


@pytest.mark.parametrize("extra", ["sslmode=require", "__extra__=%7B%22sslmode%22%3A%20%22require%22%7D"])
def test_a_connection_in_a_variable_keeps_its_encryption(extra: str) -> None:
    assert dict(url_from_connection(f"postgres://ann:pw@db/releases?{extra}").query) == {"sslmode": "require"}


def test_a_file_in_a_variable() -> None:
    assert url_from_connection("sqlite:////data/history.db").database == "/data/history.db"


@pytest.mark.parametrize(
    "given", ["{oops", '{"port": "hunter2"}', '{"extra": "hunter2"}', "postgres://db:hunter2/x", "hunter2", "[1]"]
)
def test_a_connection_that_cannot_be_read_is_not_shown(given: str) -> None:  # R11, R12
    with pytest.raises(ValueError, match="cannot be read: JSON or a URI like") as caught:
        url_from_connection(given)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("hunter2", "cannot be read; postgresql://… or sqlite:///… is expected"),
        ("postgresql://ann:secret@db:hunter2/x", "cannot be read; postgresql://… or sqlite:///… is expected"),
        ("mysql://ann:hunter2@db/x", "kept in PostgreSQL or SQLite, not in mysql; postgresql://…"),
        (
            "postgresql+nodriver://ann:hunter2@db/x",
            r"The driver postgresql\+nodriver of the release history is not inst",
        ),
        (
            "sqlite:////dev/null/x/history.db",
            "The folder /dev/null/x of the release history cannot be made: Not a direc",
        ),
    ],
)
def test_an_address_where_no_history_can_be_is_a_sentence(address: str, said: str) -> None:  # R11, R12
    with pytest.raises(ValueError, match=said) as caught:
        open_history(address)
    assert "hunter2" not in str(caught.value)
