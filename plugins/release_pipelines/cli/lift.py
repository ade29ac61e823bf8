"""``release lift``: what speaks against a version was not its fault."""

from __future__ import annotations

from typing import Annotated

import typer

from release_pipelines.cli.commands import environment_of, login
from release_pipelines.cli.known import unknown
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    fail,
    open_history_at,
    print_json,
    times,
)


def lift(
    name: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that is blamed.")],
    reason: Annotated[str, typer.Option(help="Why it was not the version's fault; kept in the history.")],
    environment: Annotated[str | None, typer.Option(help="Where; default: the app's last environment.")] = None,
    by: Annotated[str | None, typer.Option(help="Who says so; kept in the history. Default: the login here.")] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Lift what speaks against a version in an environment, so that a rollback may go back to it, and trains take it again. Doing it again changes nothing."""
    with errors_as_sentences():
        where = environment_of(name, environment)
        if where is None and (sentence := unknown(name, open_history_at(database).apps())):
            fail(sentence)
        if where is None:
            fail(f"{name} has no valid file here, so its last environment is not known: --environment is expected.")
        if not reason.strip():
            fail("--reason: a few words are expected, and are kept with what is lifted.")
        history = open_history_at(database)
        lifted = history.lift(name, version, where, by or login(), reason.strip())
        now = next((it for it in history.stability(name, where) if it.version == version), None)
    if as_json:
        print_json({"lifted": [times(it.model_dump(mode="json")) for it in lifted], "good": bool(now and now.good)})
    elif not lifted:
        print(f"Nothing speaks against {name} {version} in {where}: nothing was changed.")
    else:
        for it in lifted:
            print(f"Lifted: {it.sentence}")
        good = "a rollback may go back to it" if now and now.good else f"it is still not good: {now.why if now else ''}"
        print(f"{name} {version} in {where}: {good}.".replace("..", "."))
