"""How the ``release`` command speaks: tables, JSON, sentences; and where it finds the history."""

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
def told() -> Iterator[None]:
    """What goes wrong as a sentence instead of a traceback."""
    from release_pipelines.adapters.history import HistoryUnavailable

    try:
        yield
    except (HistoryUnavailable, ValueError) as error:
        fail(str(error))


def fail(sentence: str) -> NoReturn:
    """Say why, and end with exit code 1."""
    print(sentence, file=sys.stderr)
    raise typer.Exit(1)


def iso(at: float | None) -> str | None:
    """A Unix time for programs."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds") if at is not None else None


def times(said: Any) -> Any:
    """The same with every Unix time as ISO time."""
    if isinstance(said, list):
        return [times(item) for item in said]
    if not isinstance(said, dict):
        return said
    return {
        key: iso(value) if (key == "at" or key.endswith("_at")) and isinstance(value, float) else times(value)
        for key, value in said.items()
    }


def local(at: float | None) -> str:
    """A Unix time for people, in their own time zone."""
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S") if at is not None else ""


def print_table(headings: Sequence[str], rows: list[list[str]]) -> None:
    """Columns as wide as they need to be; one that is empty in every row is left out."""
    columns = [index for index in range(len(headings)) if any(row[index] for row in rows)]
    widths = {index: max(len(headings[index]), *(len(row[index]) for row in rows)) for index in columns}
    for row in ([heading.upper() for heading in headings], *rows):
        print("  ".join(row[index].ljust(widths[index]) for index in columns).rstrip())


def print_json(value: Any) -> None:
    """For programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
