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

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History

CONNECTION = "AIRFLOW_CONN_RELEASE_HISTORY"

Database = Annotated[
    str | None,
    typer.Option(
        help=f"Where the history is, like postgresql://… or sqlite:///…; default: {CONNECTION}, else a file of its own."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def open_history_at(database: str | None) -> History:
    """The history at this address; None: where the environment says that it is, else a file of its own."""
    from release_pipelines.adapters.history import default_url, open_history, url_from_connection

    connection = os.environ.get(CONNECTION)
    if database is None and not connection:
        return open_history(default_url())
    return open_history(url_from_connection(connection or "") if database is None else database, make=False)


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Print errors as one sentence instead of a traceback, and end with exit code 1."""
    from release_pipelines.adapters.history import HistoryUnavailable

    try:
        yield
    except (HistoryUnavailable, ValueError) as error:
        fail(str(error))


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
