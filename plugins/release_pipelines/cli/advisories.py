"""``release advisories``: which advisory data the environments name, how many records they have, and how old they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from release_pipelines.cli.terminal import AsJson, errors_as_sentences, fail, iso, local, print_json, print_table

if TYPE_CHECKING:
    from release_pipelines.adapters.advisories import Data
    from release_pipelines.core.model.advisories import AdvisorySources


class Told(NamedTuple):
    """A source, and what it has; or why it cannot be read."""

    kind: str
    source: str
    environments: list[str]
    limit: float | None
    data: Data | None
    problem: str | None

    @property
    def old(self) -> bool:
        """Whether it is older than the limit."""
        at = self.data.at if self.data else None
        return self.limit is not None and self.data is not None and (at is None or time.time() - at > self.limit)


def advisories(
    environment: Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="Default: all that have a file here.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell which advisory data the environments name (`advisories`), how many records they have, and how old they are. What has an address is fetched, if it changed.

    The exit code is 1 where data cannot be read, or are too old.
    """
    with errors_as_sentences():
        told = list(_told(environment))
    if as_json:
        print_json([_json(it) for it in told])
    elif not told:
        print("No environment names advisory data: the key is `advisories`.")
    else:
        print_table(
            ("kind", "source", "records", "newest of", "file of", "environments", "note"), [_row(it) for it in told]
        )
    if any(it.problem or it.old for it in told):
        raise typer.Exit(1)


def _told(environment: str) -> Iterator[Told]:
    from release_pipelines.adapters.advisories import (
        NoData,
        default_copies,
        exploit_scores,
        known_exploited,
        read_records,
        shown,
    )

    copies = default_copies()
    readers: dict[str, Callable[[str], Data]] = {
        "osv": lambda where: read_records(where, copies, lambda _: None),
        "kev": lambda where: known_exploited(where, copies).data,
        "epss": lambda where: exploit_scores(where, copies).data,
    }
    for (kind, where), named in _sources(environment).items():
        limits = [it.older_than for it in named.values() if it.older_than is not None]
        limit = min(limits, default=None) if kind == "osv" else None
        try:
            yield Told(kind, shown(where), list(named), limit, readers[kind](where), None)
        except NoData as error:
            yield Told(kind, shown(where), list(named), limit, None, str(error))


def _sources(environment: str) -> dict[tuple[str, str], dict[str, AdvisorySources]]:
    """Kinds and places to the environments that name them."""
    from release_pipelines.core.model.advisories import AdvisorySources
    from release_pipelines.spec.folders import config_folder
    from release_pipelines.spec.loader import SpecError, load_environment

    folder = config_folder(Path.cwd()).absolute()
    names = sorted(it.stem for it in folder.glob("*.yaml") if it.stem != "base")
    if not names:
        fail(f"{folder} has no environments: files called <name>.yaml are expected; RELEASE_PIPELINES_CONFIG names it.")
    if environment and environment not in names:
        fail(f"There is no environment {environment} in {folder}: one of {', '.join(names)} is expected.")
    found: dict[tuple[str, str], dict[str, AdvisorySources]] = {}
    for name in [environment] if environment else names:
        try:
            sources = load_environment(name, folder).part("advisories", AdvisorySources)
        except SpecError as error:
            fail(str(error))
        if sources is None:
            continue
        places = [*(("osv", it) for it in sources.osv), ("kev", sources.kev), ("epss", sources.epss)]
        for kind, where in places:
            if where:
                found.setdefault((kind, where), {})[name] = sources
    return found


def _json(told: Told) -> dict[str, Any]:
    data = told.data
    return {
        "kind": told.kind,
        "source": told.source,
        "environments": told.environments,
        "records": data.records if data else None,
        "newest": iso(data.newest) if data else None,
        "file": iso(data.file_at) if data else None,
        "age_seconds": round(time.time() - data.at) if data and data.at is not None else None,
        "too_old": told.old,
        "note": told.problem or (data.note if data else None),
    }


def _row(told: Told) -> list[str]:
    data = told.data
    notes = [told.problem, "too old" if told.old else None, data.note if data else None]
    return [
        told.kind,
        told.source,
        f"{data.records:,}" if data else "unknown",
        local(data.newest) if data else "",
        local(data.file_at) if data else "",
        ", ".join(told.environments),
        "; ".join(it for it in notes if it),
    ]
