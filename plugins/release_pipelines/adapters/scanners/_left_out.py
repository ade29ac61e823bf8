"""Files that a scan leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def leave_out(folder: Path, patterns: Sequence[str]) -> int:
    """Remove files from a checkout that nobody needs afterwards, so that no scanner, whatever it is, sees them.

    :param patterns: as in a ``.gitignore`` file.
    :return: how many there were.
    """
    from pathspec import PathSpec

    spec = PathSpec.from_lines("gitignore", patterns)
    paths = [folder / it for it in spec.match_tree_files(folder, follow_links=False)]
    for path in paths:
        path.unlink()
    return len(paths)
