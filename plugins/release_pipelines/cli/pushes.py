"""``release pushes``: what forges and registries told, and what it came to."""

from __future__ import annotations

from typing import Annotated

import typer

from release_pipelines.cli.known import unknown
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    fail,
    local,
    open_history_at,
    print_json,
    print_table,
    times,
)


def pushes(
    name: Annotated[str | None, typer.Argument(metavar="[APP]", help="Default: all apps.")] = None,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, help="So many of each kind, newest first.")] = 20,
    database: Database = None,
) -> None:
    """List what was pushed: the starts that it asked for, with their runs, and the deliveries that came."""
    with errors_as_sentences():
        history = open_history_at(database)
        starts, deliveries = history.starts(name, limit=limit), history.deliveries(name, limit)
        if name and not starts and not deliveries and (sentence := unknown(name, history.apps())):
            fail(sentence)
    if as_json:
        print_json(
            {
                "starts": [{**times(it.model_dump(mode="json")), "run_id": it.run_id} for it in starts],
                "deliveries": [times(it.model_dump(mode="json")) for it in deliveries],
            }
        )
        return
    if not starts and not deliveries:
        print(f"Nothing was pushed for {name} yet." if name else "Nothing was pushed yet.")
        return
    print_table(
        ("came", "app", "version", "told by", "by", "state", "run", "why"),
        [
            [
                local(it.at), it.app, it.version[:40], it.source, it.by or "", it.state, it.run_id or "",
                it.sentence or "",
            ]
            for it in starts
        ],
    )  # fmt: skip
    if deliveries:
        print("\nDeliveries")
        print_table(
            ("came", "app", "from", "id", "what it came to"),
            [
                [local(it.at), it.app, it.source, it.name or "", it.sentence or "nobody has looked at it yet"]
                for it in deliveries
            ],
        )
