"""``release audit``: who did what, when and from where, and whether that record is whole."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.commands import login
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    fail,
    local,
    open_history_at,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from release_pipelines.core.audit.row import Row
    from release_pipelines.core.audit.verifying import Head


def audit(
    name: Annotated[str | None, typer.Argument(metavar="[APP]", help="Default: all apps.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From this day or moment on, like 2026-11-01 or 2026-11-01T12:00+01:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or moment.")] = None,
    as_json: AsJson = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="For people with a spreadsheet; it cannot be verified.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Say whether the trail is whole; exit code 1 if not.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="FILE", help="With --verify: an earlier export as JSON, instead of the history."
        ),
    ] = None,
    heads: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            metavar="HASH:COUNT",
            help="With --verify: the trail's end as it was kept elsewhere. May be given several times.",
        ),
    ] = None,
    database: Database = None,
) -> None:
    """Tell who did what, when and from where; or check that nothing of it was changed, removed, inserted or cut off."""
    ends = [_head(it) for it in heads or []]
    if verify:
        _verify(export, ends, database, as_json)
        return
    if export is not None or ends:
        fail("--file and --head: they are expected together with --verify.")
    with errors_as_sentences():
        history = open_history_at(database)
        rows = history.audit_rows(app=name, since=_moment(since, "--since"), until=_moment(until, "--until"))
        head = history.audit_head() if (name, since, until) == (None, None, None) else None
    _print(rows, head, as_json, as_csv)


def _print(rows: list[Row], head: Head | None, as_json: bool, as_csv: bool) -> None:
    from release_pipelines.core.audit import export

    if as_json:
        print(export.as_json(rows, head))
    elif as_csv:
        sys.stdout.buffer.write(export.as_csv(export.COLUMNS, map(export.cells, rows)).encode())
        sys.stdout.flush()
    elif not rows:
        print("Nothing yet.")
    else:
        headings = ("at", "who", "did", "", "app", "why", "from", "what it did", "release")
        print_table(headings, [_row(row) for row in rows])
        if head:
            print(f"Head: {head.hash}:{head.count}")


def _row(row: Row) -> list[str]:
    from release_pipelines.core.audit.export import FORGOTTEN

    texts = {name: FORGOTTEN if text.value is None else text.value for name, text in row.texts.items()}
    told = [texts.get(name, "") for name in ("actor", "reason", "address", "about")]
    return [local(row.at / 1_000_000), told[0], row.action, row.phase, row.app, *told[1:], row.release]


def _verify(export: Path | None, ends: list[Head], database: str | None, as_json: bool) -> None:
    from release_pipelines.core.audit.export import NotReadable, read_json
    from release_pipelines.core.audit.verifying import verified

    with errors_as_sentences():
        if export is None:
            history = open_history_at(database)
            rows, head = history.audit_rows(), history.audit_head()
            ends = [*ends, head] if head.count else ends
            kept = len(ends) > 1 or not head.count
        else:
            try:
                rows, own = read_json(export.read_text())
            except (OSError, UnicodeDecodeError) as error:
                fail(f"{export} cannot be read: {error}. The JSON of `release audit --json` is expected.")
            except NotReadable as error:
                fail(f"{export}: {error}.")
            ends = [*ends, *([own] if own else [])]
            kept = len(ends) > bool(own)
    found = verified(rows, ends)
    remarks = found.remarks
    if not kept and not any("cut end" in it for it in remarks):
        remarks = [
            *remarks,
            "the end was compared only with what stands beside the rows: --head with one that was kept elsewhere shows a cut end",
        ]
    if as_json:
        print_json({"whole": found.whole, "rows": found.rows, "breaks": found.breaks, "remarks": remarks})
    else:
        for it in found.breaks:
            print(f"{it[0].upper()}{it[1:]}.")
        print(f"{found.rows} rows{'' if found.breaks else ', nothing of them was changed, removed or inserted'}.")
        for it in remarks:
            print(f"{it[0].upper()}{it[1:]}.")
    if not found.whole:
        raise typer.Exit(1)


def forget(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="The person's name, id, e-mail: all that may stand in the trail."),
    ],
    by: Annotated[str | None, typer.Option(help="Who asks for it. Default: the login here.")] = None,
    database: Database = None,
) -> None:
    """Forget a person in the audit trail: each text with one of these names goes, the trail stays whole. Nobody can bring them back."""
    with errors_as_sentences():
        rows = open_history_at(database).audit_forget(names, by or login())
    print(f"Forgot texts in {rows} row{'s' if rows != 1 else ''}.")


def _head(text: str) -> Head:
    from release_pipelines.core.audit.verifying import Head

    hash_, _, count = text.partition(":")
    if len(hash_) != 64 or not count.isdigit():
        fail(f"--head: found `{text}`, expected HASH:COUNT as `release audit` prints it.")
    return Head(hash_, int(count), "elsewhere")


def _moment(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone().timestamp()
    except ValueError:
        fail(f"{option}: found `{text}`, expected a day or a moment like 2026-11-01 or 2026-11-01T12:00+01:00.")
