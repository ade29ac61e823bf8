"""The ``release`` command: what happened, and whether the app files are right. Works without Airflow."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from release_pipelines.history import History, Release, ReleaseDetail

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Releases: what happened, and what would.")

CONNECTION = "AIRFLOW_CONN_RELEASE_HISTORY"

Database = Annotated[
    str | None,
    typer.Option(
        help=f"Where the history is, like postgresql://… or sqlite:///…; default: {CONNECTION}, else a file of its own."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
def history(
    name: Annotated[str | None, typer.Argument(metavar="[APP]", help="Default: all apps.")] = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, help="So many, newest first.")] = 50,
    database: Database = None,
) -> None:
    """List releases, newest first."""
    with _told():
        found = _history(database).releases(name, limit)
    if as_json:
        _print_json([_listed(release) for release in found])
    elif not found:
        print(f"No release of {name} yet." if name else "No release yet.")
    else:
        headings = ("started", "app", "version", "outcome", "requester", "approver", "why")
        _print_table(headings, [_row(release) for release in found])


@app.command()
def show(
    release: Annotated[str, typer.Argument(metavar="ID", help="A release's id, its beginning, or an app: its newest.")],
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Tell one release: its steps, verdicts, measurements, approvals and events."""
    with _told():
        found = _history(database).find(release)
    if as_json:
        _print_json({**_listed(found), **_times(found.model_dump(mode="json"))})
    else:
        _tell(found)


@app.command()
def validate(
    path: Annotated[
        Path | None, typer.Argument(help="An app file, or a folder of them; default: include/apps.")
    ] = None,
) -> None:
    """Check app files and what they name; every mistake is one sentence."""
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.release import analyses_of, app_errors, app_files, load_release
    from release_pipelines.spec.settings import apps_folder, config_folder

    apps = (path or apps_folder(Path.cwd())).absolute()
    if not apps.exists():
        _fail(f"{apps} does not exist: the folder of the app files, or one of them, is expected.")
    errors: list[SpecError] = []
    if apps.is_dir():
        files = app_files(apps)
        if not files:
            _fail(f"{apps} has no app files: files called <name>.yaml are expected.")
        config = config_folder(apps.parent.parent)
        errors = list(app_errors(apps, config))
    else:
        files = [apps]
        try:
            load_release(apps, config_folder(apps.parent.parent.parent), analyses_of(apps.parent))
        except SpecError as error:
            errors = [error, *error.also]
    if errors:
        _fail("\n".join(str(error) for error in errors))
    print(f"{len(files)} app file{'s' if len(files) != 1 else ''}, no mistakes.")


@app.command()
def schema(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path("include/schemas"),
) -> None:
    """Write JSON Schemas of the files, for editors."""
    from release_pipelines.spec.schema import write

    try:
        written = write(folder)
    except OSError as error:
        _fail(f"{error.filename or folder} cannot be written: {error.strerror}. A folder is expected.")
    for path in written:
        print(path)


@app.command()
def prune(
    older_than: Annotated[str, typer.Option(help="Releases that ended before, like 365d.")],
    database: Database = None,
) -> None:
    """Remove old releases from the history; the last good one of every app stays."""
    from release_pipelines.spec.base import parse_duration

    try:
        seconds = parse_duration(older_than)
    except ValueError:
        _fail(f"--older-than: found `{older_than}`, expected a time like 365d.")
    with _told():
        gone = _history(database).prune(seconds / 86400)
    print(f"Removed {gone} release{'s' if gone != 1 else ''}.")


def _history(database: str | None) -> History:
    from release_pipelines.history import default_url, open_history, url_from_connection

    connection = os.environ.get(CONNECTION)
    if database is None and connection:
        return open_history(url_from_connection(connection))
    return open_history(database or default_url())


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong as a sentence instead of a traceback."""
    from release_pipelines.history import HistoryUnavailable

    try:
        yield
    except (HistoryUnavailable, ValueError) as error:
        _fail(str(error))


def _fail(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise typer.Exit(1)


def _iso(at: float | None) -> str | None:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds") if at is not None else None


def _local(at: float | None) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S") if at is not None else ""


def _listed(release: Release) -> dict[str, Any]:
    return {
        "id": release.id,
        "app": release.app,
        "version": release.version,
        "outcome": release.outcome,
        "digest": release.digest,
        "sentence": release.sentence,
        "started": _iso(release.started_at),
        "ended": _iso(release.ended_at),
        "requester": release.requester,
        "approver": release.approver,
    }


def _times(told: Any) -> Any:
    """The same with every Unix time as ISO time."""
    if isinstance(told, list):
        return [_times(item) for item in told]
    if not isinstance(told, dict):
        return told
    return {
        key: _iso(value) if (key == "at" or key.endswith("_at")) and isinstance(value, float) else _times(value)
        for key, value in told.items()
    }


def _row(release: Release) -> list[str]:
    return [
        _local(release.started_at),
        release.app,
        release.version,
        release.outcome or "running",
        release.requester or "",
        release.approver or "",
        release.sentence or "",
    ]


def _tell(release: ReleaseDetail) -> None:
    print(f"{release.app} {release.version}: {release.outcome or 'running'}")
    if release.sentence:
        print(release.sentence)
    told = {
        "id": release.id,
        "image": f"{release.image}@{release.digest}" if release.digest else None,
        "commit": release.commit,
        "asked by": release.requester,
        "urgent because": release.reason,
        "notes": release.notes,
        "started": _local(release.started_at),
        "ended": _local(release.ended_at),
        "direction": release.direction if release.direction == "backward" else None,
    }
    for name, value in told.items():
        if value:
            print(f"  {name:<15}{value}")
    for answer in release.approvals:
        said = f"{answer.decision} by {answer.by}" if answer.by else answer.decision
        print(f"  {'approval':<15}{_local(answer.at)} {said}{f': {answer.note}' if answer.note else ''}")
    if release.verdicts:
        print("\nVerdicts")
        judged = [
            [_local(it.decided_at), it.environment, it.step, f"{it.weight} %", it.judgement, it.sentence]
            for it in release.verdicts
        ]
        _print_table(("decided", "environment", "step", "weight", "verdict", "why"), judged)
    if release.measurements:
        print("\nMeasurements")
        headings = ("at", "environment", "step", "metric", "value", "bad", "total", "stable", "error")
        measured = [
            [
                _local(it.at), it.environment, it.step, it.metric, _number(it.value), _number(it.bad), _number(it.total),
                f"{_number(it.stable_bad)}/{_number(it.stable_total)}" if it.stable_total is not None else "",
                it.error or "",
            ]
            for it in release.measurements
        ]  # fmt: skip
        _print_table(headings, measured)
    if release.events:
        print("\nEvents")
        rows = [[_local(it.at), it.environment or "", it.kind, it.sentence] for it in release.events]
        _print_table(("at", "environment", "kind", "what"), rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _print_table(headings: Sequence[str], rows: list[list[str]]) -> None:
    """Columns as wide as they need to be; one that is empty in every row is left out."""
    columns = [index for index in range(len(headings)) if any(row[index] for row in rows)]
    widths = {index: max(len(headings[index]), *(len(row[index]) for row in rows)) for index in columns}
    for row in ([heading.upper() for heading in headings], *rows):
        print("  ".join(row[index].ljust(widths[index]) for index in columns).rstrip())


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    app()
