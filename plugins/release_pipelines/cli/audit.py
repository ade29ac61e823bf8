"""``release audit``: who did what, when and from where, and whether that record is whole."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.commands import login
from release_pipelines.cli.known import unknown
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    fail,
    iso,
    local,
    open_history_at,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.audit.export import Export
    from release_pipelines.core.audit.row import Row
    from release_pipelines.core.audit.verifying import Head, Verified


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
    if as_json and as_csv:
        fail("--json and --csv: one of them is expected.")
    if verify:
        if name is not None or since is not None or until is not None:
            fail("--verify: all of the trail is verified, so neither an app nor --since nor --until is expected.")
        if as_csv:
            fail("--verify: --json is what programs read; --csv is not expected.")
        _verify(export, ends, database, as_json)
        return
    if export is not None or ends:
        fail("--file and --head: they are expected together with --verify.")
    begin, end = _moment(since, "--since"), _moment(until, "--until")
    if begin is not None and end is not None and begin >= end:
        fail(f"--since and --until: found `{since}` and `{until}`, expected the earlier one first.")
    with errors_as_sentences():
        _print(_export(open_history_at(database), name, begin, end), as_json, as_csv)


def _export(history: History, app: str | None, begin: float | None, end: float | None) -> Export:
    from release_pipelines.core.audit.export import Export

    if (app, begin, end) == (None, None, None):
        return Export(*history.audit_trail())
    rows = history.audit_rows(app=app, since=begin, until=end)
    if app is not None and not rows and (sentence := unknown(app, [*history.apps(), *history.audit_apps()])):
        fail(sentence)
    return Export(rows, None, {"app": app, "since": iso(begin), "until": iso(end)})


def _print(trail: Export, as_json: bool, as_csv: bool) -> None:
    from release_pipelines.core.audit import export

    if as_json:
        print(export.as_json(trail))
    elif as_csv:
        sys.stdout.buffer.write(export.as_csv(export.COLUMNS, map(export.cells, trail.rows)).encode(errors="replace"))
        sys.stdout.flush()
    elif not trail.rows:
        print("Nothing yet.")
    else:
        headings = ("at", "who", "did", "", "app", "why", "from", "what it did", "release", "note")
        print_table(headings, [_row(row) for row in trail.rows])
        if trail.head:
            print(f"Head: {trail.head.hash}:{trail.head.count}")
    if trail.head is None and trail.part is None:
        fail("The head is missing from the database: `release audit --verify` tells what else is wrong.")


def _row(row: Row) -> list[str]:
    from release_pipelines.core.audit.export import DAMAGED, FORGOTTEN, moment_of

    texts = {name: FORGOTTEN if text.value is None else text.value for name, text in row.texts.items()}
    told = [texts.get(name, "") for name in ("actor", "reason", "address", "about")]
    moment = moment_of(row)
    at = DAMAGED if moment is None else local(moment.timestamp())
    note = DAMAGED if row.damaged else ""
    return [at, told[0], row.action, row.phase, row.app, *told[1:], row.release, note]


def _verify(file: Path | None, ends: list[Head], database: str | None, as_json: bool) -> None:
    from release_pipelines.core.audit.export import Export
    from release_pipelines.core.audit.verifying import verified, verified_part

    with errors_as_sentences():
        trail = Export(*open_history_at(database).audit_trail()) if file is None else _read(file)
    if trail.part is not None:
        if ends:
            fail("--head: a part of the trail has no end that could be compared.")
        _tell(verified_part(trail.rows), as_json, part=True)
        return
    found = verified(trail.rows, [*ends, *([trail.head] if trail.head else [])])
    if trail.head is None:
        found.breaks.append(f"the head is missing from the {'database' if file is None else 'export'}")
    if not any(it.count for it in ends) and not any("cut end" in it for it in found.remarks):
        found.remarks.append(
            "the end was compared only with what stands beside the rows: --head with one that was kept elsewhere shows a cut end"
        )
    _tell(found, as_json, part=False)


def _tell(found: Verified, as_json: bool, part: bool) -> None:
    from release_pipelines.core.audit.verifying import rows_in_words

    if as_json:
        whole = None if part and found.whole else found.whole
        print_json({"whole": whole, "rows": found.rows, "breaks": found.breaks, "remarks": found.remarks})
    else:
        for it in found.breaks:
            print(f"{it[0].upper()}{it[1:]}.")
        good = ", none of them was changed" if part else ", nothing of them was changed, removed or inserted"
        print(f"{rows_in_words(found.rows)}{'' if found.breaks else good}.")
        for it in found.remarks:
            print(f"{it[0].upper()}{it[1:]}.")
    if not found.whole:
        raise typer.Exit(1)


def _read(file: Path) -> Export:
    from release_pipelines.core.audit.export import NotReadable, read_json

    try:
        return read_json(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}. The JSON of `release audit --json` is expected.")
    except NotReadable as error:
        fail(f"{file}: {error}.")


def forget(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="The person's name, id, e-mail: all that may stand in the trail."),
    ],
    by: Annotated[str | None, typer.Option(help="Who asks for it. Default: the login here.")] = None,
    database: Database = None,
) -> None:
    """Forget a person in the audit trail and in remarks: each text with one of these names goes, the trail stays whole. Nobody can bring them back."""
    with errors_as_sentences():
        rows, remarks = open_history_at(database).forget(names, by or login())
    more = f" and {remarks} remark{'s' if remarks != 1 else ''}" if remarks else ""
    print(f"Forgot texts in {rows} row{'s' if rows != 1 else ''}{more}.")


def _head(text: str) -> Head:
    from release_pipelines.core.audit.verifying import Head

    hash_, _, count = text.partition(":")
    if not re.fullmatch("[0-9a-f]{64}", hash_) or not re.fullmatch("[0-9]{1,18}", count):
        fail(f"--head: found `{text}`, expected HASH:COUNT as `release audit` prints it.")
    return Head(hash_, int(count), "elsewhere")


def _moment(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone().timestamp()
    except ValueError:
        fail(f"{option}: found `{text}`, expected a day or a moment like 2026-11-01 or 2026-11-01T12:00+01:00.")
