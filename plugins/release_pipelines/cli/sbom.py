"""``release sbom``: what the image of a release is made of."""

from __future__ import annotations

from typing import Annotated

import typer

from release_pipelines.cli.known import found
from release_pipelines.cli.terminal import Database, errors_as_sentences, fail, open_history_at

BEGINNING = "sbom"


def sbom(
    release: Annotated[
        str, typer.Argument(metavar="ID", help="A release's id, or its beginning; an app: the newest release of it.")
    ],
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Of an app: the newest release of this version.")
    ] = None,
    spdx: Annotated[bool, typer.Option("--spdx", help="As SPDX; default: as CycloneDX.")] = False,
    platform: Annotated[
        str | None, typer.Option(help="Like linux/arm64; needed where the image is of several platforms.")
    ] = None,
    database: Database = None,
) -> None:
    """Print the SBOM of a release, as JSON: what its image is made of. It is kept where the app's file says `sbom: true`."""
    ending = ".spdx.json" if spdx else ".cdx.json"
    with errors_as_sentences():
        history = open_history_at(database)
        detail = found(history, release, version)
        kept = {
            it.name.removeprefix(BEGINNING).removesuffix(ending).removeprefix("-"): it.content
            for it in history.attachments(detail.id)
            if it.name.startswith(BEGINNING) and it.name.endswith(ending)
        }
    if not kept:
        fail(f"{detail.app} {detail.version} has no SBOM: `sbom: true` in the app's file keeps one with each release.")
    wanted = (platform or "").replace("/", "-")
    content = next(iter(kept.values())) if len(kept) == 1 and not wanted else kept.get(wanted)
    if content is None:
        names = ", ".join(sorted(it or "one platform alone" for it in kept))
        fail(f"{detail.app} {detail.version} has SBOMs of {names}: --platform says which is meant.")
    print(content)
