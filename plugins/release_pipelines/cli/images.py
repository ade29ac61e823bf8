"""``release images``: what of an app's images may leave the registry."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_pipelines.cli.commands import spec_in_file
from release_pipelines.cli.connections import connection_here, connection_in, variable_of
from release_pipelines.cli.known import unknown
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    examples,
    fail,
    open_history_at,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.connection import Connection
    from release_pipelines.core.ports.registry import Deletes

images = typer.Typer(no_args_is_help=True, help="Images in the registry.")


@images.command(
    epilog=examples(
        "release images prune shop", "release images prune shop --keep 20 --delete", "release images prune shop --json"
    )
)
def prune(
    name: Annotated[str, typer.Argument(metavar="APP")],
    keep: Annotated[int, typer.Option(min=1, help="So many versions that held stay, newest first.")] = 10,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them. Without it, nothing is changed.")] = False,
    tag: Annotated[
        str | None,
        typer.Option(
            help="How versions are tagged, like release-{version}.", show_default="as the version, also after a v"
        ),
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(
            help="The registry's Airflow connection, as JSON or a URI.",
            show_default="AIRFLOW_CONN_…, of the name that connections.registry of the app's last environment says",
        ),
    ] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Say which images nobody can need any more, and delete them if told to.

    What may be rolled back to stays, with the images of all platforms, attestations and signatures: the newest versions that held, the last
    good one, what is being released. So does every tag that the history knows nothing about.
    """
    from release_pipelines.core.ports.registry import Deletes

    with errors_as_sentences():
        history = open_history_at(database)
        if name not in history.apps():
            fail(unknown(name, history.apps()) or f"{name} has no release yet.")
        there = _opened(connection_in(registry, "--registry") if registry else _connection_of(name))
        if not isinstance(there, Deletes):
            fail(f"The registry {getattr(there, 'host', '')} deletes nothing.")
        found = _found(history, there, name, keep, tag)
        if delete:
            for it in found:
                for digest in (digest for going in it["goes"] for digest in going["digests"]):
                    there.delete(it["repository"], digest)
    if as_json:
        print_json({"app": name, "deleted": delete, "repositories": found})
        return
    for it in found:
        rows = [["deleted" if delete else "may go", ", ".join(going["tags"]), _parts(going)] for going in it["goes"]]
        rows += [["stays", named, why] for named, why in it["stays"].items()]
        print(it["repository"])
        print_table(("", "tag", "why"), rows)
    if not delete and any(it["goes"] for it in found):
        print("\nNothing was changed: --delete does it. Bytes are freed when the registry collects its garbage.")


def _found(history: History, registry: Deletes, app: str, keep: int, template: str | None) -> list[dict[str, Any]]:
    from release_pipelines.core.retention import decide, needed
    from release_pipelines.core.tags import IMAGE_TAGS, tags_of

    reasons = needed({it: history.stability(it) for it in history.apps()}, keep)
    recorded: dict[str, dict[str, tuple[str, str]]] = {}
    for it in history.stability(app):
        artifact = history.artifact_of(app, it.version)
        if artifact is None:
            continue
        of = recorded.setdefault(artifact.image, {})
        for tag in tags_of([template] if template else IMAGE_TAGS, it.version, app):
            of.setdefault(tag, (it.version, artifact.digest))
    made = []
    for repository, tags in recorded.items():
        decided = decide(registry.tagged(repository), tags, reasons)
        goes = [asdict(it) for it in decided.goes]
        made.append({"repository": repository, "goes": goes, "stays": decided.stays})
    return made


def _opened(connection: Connection) -> Any:
    from release_pipelines.adapters.registries.ecr import Ecr, is_ecr
    from release_pipelines.core.ports.registry import registry

    return Ecr(connection) if is_ecr(connection) else registry(connection)


def _connection_of(app: str) -> Connection:
    """The connection of the registry that the app's last environment names, as ``release verify`` has it."""
    try:
        named = spec_in_file(app).production.connections.registry
    except ValueError as error:
        raise ValueError(f"{error} Without its file --registry is expected.") from None
    connection = connection_here(named)
    if connection is None:
        raise ValueError(
            f"The registry of {app} is the connection `{named}`: {variable_of(named)} is expected here, or --registry."
        )
    return connection


def _parts(going: dict[str, Any]) -> str:
    more = len(going["digests"]) - 1
    return f"{going['digests'][0]}{f' and {more} manifests that belong to it' if more else ''}"
