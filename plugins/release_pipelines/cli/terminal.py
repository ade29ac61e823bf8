"""Output of the ``release`` command (tables, JSON, sentences), and the history that it reads."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from release_pipelines.cli.known import unknown
from release_pipelines.cli.where import CONNECTION, Where, where_is
from release_pipelines.core.errors import ReleaseError

if TYPE_CHECKING:
    from release_pipelines.adapters.history.listing import Listed
    from release_pipelines.adapters.history.store import History
    from release_pipelines.core.model.records import Release

Database = Annotated[
    str | None,
    typer.Option(
        help="Where the history is, like postgresql://… or sqlite:///…; default: "
        f"{CONNECTION}, else what Airflow's "
        "connection `release_history` says, else a file of its own."
    ),
]
Which = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A release's id, or its beginning, or its run's; an app, a train or a version: the newest release of it.",
    ),
]
OfVersion = Annotated[
    str | None, typer.Argument(metavar="VERSION", help="Of an app: the newest release of this version.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def examples(*lines: str) -> str:
    """Commands as they are given, for the end of a command's help: each a line of its own."""
    return "\n\n".join(("Examples:", *lines))


def open_history_at(database: str | None) -> History:
    """The history at this address; None: where the environment or Airflow says that it is.

    Where nobody has named it, stderr says which one it is.

    :raises ValueError: where no history is known, or there is none at its address.
    """
    return _opened(database, where_is(database))


def _opened(database: str | None, where: Where) -> History:
    history = _open(database, where)
    if not _is_named(database):
        _say(where)
    return history


def _open(database: str | None, where: Where) -> History:
    from release_pipelines.adapters.history.connect import open_history, url_from_connection

    return open_history(database if database is not None else url_from_connection(where.connection), make=False)


def releases_at(database: str | None, app: str | None, limit: int) -> Sequence[Listed | Release]:
    """The releases of that history, newest first: read in the fast way where that is possible.

    :param app: of this app; None: of all.
    :raises ValueError: where nobody knows the app, or no history is known, or there is none at its address.
    """
    from release_pipelines.adapters.history.listing import listed

    where = where_is(database)
    found: Sequence[Listed | Release] | None
    try:
        found = listed(where.parts, app, limit)
    except ValueError:
        found = None
    if found is None:
        found = _opened(database, where).releases(app, limit)
    elif not found or not _is_named(database):
        _say(where)
    if app is not None and not found and (sentence := unknown(app, _open(database, where).apps())):
        raise ValueError(sentence)
    return found


def _is_named(database: str | None) -> bool:
    return database is not None or bool(os.environ.get(CONNECTION))


def _say(where: Where) -> None:
    """Say on stderr which history was asked: one that knows nothing may be the wrong one."""
    print(f"Asked {where.words}, {where.why}.", file=sys.stderr)


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Print errors as one sentence instead of a traceback, and end with exit code 1."""
    try:
        yield
    except (ReleaseError, ValueError) as error:
        fail(str(error))


def history_or_none(database: str | None) -> History | None:
    """The history; None where none is known here. One that was named and is not there is said on stderr."""
    with said_on_stderr():
        try:
            return open_history_at(database)
        except ValueError as error:
            if database is not None:
                print(error, file=sys.stderr)
    return None


@contextmanager
def said_on_stderr() -> Iterator[None]:
    """Say on stderr that the history does not answer, and go on with what is known without it."""
    try:
        yield
    except ReleaseError as error:
        print(error, file=sys.stderr)


def fail(sentence: str) -> NoReturn:
    """Print the sentence on stderr, and end with exit code 1."""
    print(sentence, file=sys.stderr)
    raise typer.Exit(1)


def iso(at: float | None) -> str | None:
    """A Unix time as ISO 8601 in UTC, for programs."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds") if at is not None else None


def times(value: Any) -> Any:
    """JSON-like ``value`` with every Unix time (keys ``at`` and ``*_at``) as ISO 8601."""
    if isinstance(value, list):
        return [times(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: iso(item) if (key == "at" or key.endswith("_at")) and isinstance(item, float) else times(item)
        for key, item in value.items()
    }


def local(at: float | None) -> str:
    """A Unix time in the local time zone, for people."""
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S") if at is not None else ""


def print_table(headings: Sequence[str], rows: list[list[str]]) -> None:
    """Print a table with columns of the width of their content; columns that are empty in every row are left out."""
    columns = [index for index in range(len(headings)) if any(row[index] for row in rows)]
    widths = {index: max(len(headings[index]), *(len(row[index]) for row in rows)) for index in columns}
    for row in ([heading.upper() for heading in headings], *rows):
        print("  ".join(row[index].ljust(widths[index]) for index in columns).rstrip())


def print_json(value: Any) -> None:
    """Print ``value`` as JSON, for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
