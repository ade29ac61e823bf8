"""``release remark``: what people add to a release, from a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.commands import By, login
from release_pipelines.cli.known import found
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    Which,
    errors_as_sentences,
    local,
    open_history_at,
    print_json,
    times,
)

if TYPE_CHECKING:
    from release_pipelines.core.model.records import Remark


def remark(
    release: Which,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be said; it is never changed.")],
    about: Annotated[str, typer.Option(help="`expected`, `happened` or `note`.")],
    by: By = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Add to a release what was expected of it, what happened, or a note: it stands on its page, and in `release show`."""
    with errors_as_sentences():
        history = open_history_at(database)
        detail = found(history, release, None)
        added = history.remark(detail.id, about, text, by or login())  # type: ignore[arg-type]  # it looks itself
    if as_json:
        print_json({"release": detail.id, **times(added.model_dump(mode="json"))})
    else:
        print(f"{detail.app} {detail.version}: the remark was added.")


def row(it: Remark) -> list[str]:
    """A remark as a row of a table."""
    return [local(it.at), it.by, it.about, it.text]
