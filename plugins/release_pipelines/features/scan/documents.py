"""Files that the judgement over findings reads: VEX documents, and what is known of exploited flaws."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.findings.feeds import KnownExploited, Scores, known_exploited_in, scores_in
from release_pipelines.core.findings.vex import Statement, statements_in
from release_pipelines.core.text import one_line
from release_pipelines.spec.feature import Mistake
from release_pipelines.spec.folders import vex_folder

GZIP = b"\x1f\x8b"


def vex_file(name: str) -> Path | None:
    """A VEX document of the project: of ``$AIRFLOW_HOME``, or, for the command, of the folder that it works in. None: there is none."""
    projects = [Path(it).expanduser() for it in (os.environ.get("AIRFLOW_HOME") or "~/airflow", Path.cwd())]
    return next((path for it in projects if (path := vex_folder(it) / name).is_file()), None)


def vex_statements(names: Iterable[str]) -> list[Statement]:
    """All statements of these documents.

    :param names: of files in ``include/vex``, or paths.
    :raises PlatformError: when one of them is not there, or is no such document: then nobody knows what may pass.
    """
    found = []
    for name in names:
        path = Path(name) if os.sep in name else vex_file(name)
        if path is None:
            raise PlatformError(f"{name}: there is no such file in include/vex/.")
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
            yield Mistake(f"scan.vex[{number}]", f"`{name}`", f"a file {name} in include/vex/")
            continue
        try:
            statements_in(path.read_text(encoding="utf-8-sig"), path.name)
        except (OSError, ValueError) as error:
            yield Mistake(f"scan.vex[{number}]", f"`{name}`", f"a document that can be read ({one_line(error)})")


def known_exploited(path: str | None) -> KnownExploited | None:
    """The list of known exploited vulnerabilities in a file; None where nobody asks.

    :raises PlatformError: when it cannot be read.
    """
    return known_exploited_in(_text(path)) if path else None


def exploit_scores(path: str | None) -> Scores | None:
    """The scores of EPSS in a file; None where nobody asks.

    :raises PlatformError: when they cannot be read.
    """
    return scores_in(_text(path)) if path else None


def _text(path: str) -> str:
    try:
        content = Path(path).expanduser().read_bytes()
        return (gzip.decompress(content) if content.startswith(GZIP) else content).decode("utf-8-sig", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise PlatformError(f"unknown: {path} cannot be read: {one_line(error, 200)}.") from None
