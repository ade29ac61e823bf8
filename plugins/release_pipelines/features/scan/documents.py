"""Files that the judgement over findings reads: VEX documents, and what is known of exploited flaws."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from release_pipelines.adapters import advisories
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.findings.feeds import KnownExploited, Scores
from release_pipelines.core.findings.vex import Statement, statements_in
from release_pipelines.core.text import one_line
from release_pipelines.spec.feature import Mistake
from release_pipelines.spec.folders import vex_folder


def vex_file(name: str) -> Path | None:
    """A VEX document of the project: of ``$AIRFLOW_HOME``, or, for the command, of the folder that it works in. None: there is none."""
    projects = [Path(it).expanduser() for it in (os.environ.get("AIRFLOW_HOME") or "~/airflow", Path.cwd())]
    return next((path for it in projects if (path := vex_folder(it) / name).is_file()), None)


def _folder() -> str:
    """The folder of VEX documents, in words: as it is named, else as it is called in each project."""
    return f"{str(vex_folder(Path())).rstrip('/')}/"


def vex_statements(names: Iterable[str]) -> list[Statement]:
    """All statements of these documents.

    :param names: of files in ``include/vex``, or paths.
    :raises PlatformError: when one of them is not there, or is no such document: then nobody knows what may pass.
    """
    found = []
    for name in names:
        path = Path(name) if os.sep in name else vex_file(name)
        if path is None:
            raise PlatformError(f"{name}: there is no such file in {_folder()}.")
        try:
            found += statements_in(path.read_text(encoding="utf-8-sig"), path.name)
        except (OSError, ValueError) as error:
            raise PlatformError(f"{one_line(error)}.") from None
    return found


def vex_mistakes(names: Iterable[str]) -> Iterator[Mistake]:
    """What is wrong with the VEX documents that an app names."""
    for number, name in enumerate(names):
        path = vex_file(name)
        if path is None:
            yield Mistake(f"scan.vex[{number}]", f"`{name}`", f"a file {name} in {_folder()}")
            continue
        try:
            statements_in(path.read_text(encoding="utf-8-sig"), path.name)
        except (OSError, ValueError) as error:
            yield Mistake(f"scan.vex[{number}]", f"`{name}`", f"a document that can be read ({one_line(error)})")


def known_exploited(where: str | None) -> KnownExploited | None:
    """The list of known exploited vulnerabilities of a file, a folder or an address; None where nobody asks.

    :raises PlatformError: when it cannot be read.
    """
    if not where:
        return None
    with _said():
        read = advisories.known_exploited(where, advisories.default_copies())
    return KnownExploited(read.since, read.data.newest)


def exploit_scores(where: str | None) -> Scores | None:
    """The scores of EPSS of a file, a folder or an address; None where nobody asks.

    :raises PlatformError: when they cannot be read.
    """
    if not where:
        return None
    with _said():
        read = advisories.exploit_scores(where, advisories.default_copies())
    return Scores(read.chances, read.data.newest)


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except advisories.NoData as error:
        raise PlatformError(f"unknown: {one_line(error)}.") from None
