"""``release prune``: old releases leave the history."""

from __future__ import annotations

from typing import Annotated

import typer

from release_pipelines.cli.commands import login
from release_pipelines.cli.terminal import Database, errors_as_sentences, fail, open_history_at


def prune(
    older_than: Annotated[str, typer.Option(help="Age since the end of a release, with its unit: 365d, 12h, 30m.")],
    audit_too: Annotated[
        bool, typer.Option("--audit", help="Old rows of the audit trail, too; a row in it says so.")
    ] = False,
    database: Database = None,
) -> None:
    """Remove old releases and pushes from the history, with their verdicts, measurements and plots: nobody can bring them back.

    What a rollback goes back to stays: the last good release of every app in every environment. So do releases that have not ended.
    """
    from release_pipelines.core.model.units import parse_duration

    try:
        seconds = parse_duration(older_than)
    except ValueError:
        fail(f"--older-than: found `{older_than}`, expected a time like 365d.")
    if seconds <= 0:
        fail(f"--older-than: found `{older_than}`, expected a positive time like 365d.")
    with errors_as_sentences():
        history = open_history_at(database)
        if audit_too:  # first, because it may be refused: then nothing is removed
            rows = history.audit_prune(seconds / 86400, login())
        removed = history.prune(seconds / 86400)
    print(f"Removed {removed} release{'s' if removed != 1 else ''}.")
    if audit_too:
        print(f"Removed {rows} row{'s' if rows != 1 else ''} of the audit trail.")
