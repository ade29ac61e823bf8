"""The folder of policies: ``<name>.rego`` is one, so is a folder ``<name>``; ``lib`` has what all of them may use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from release_pipelines.core.model.policy import Policy

LIBRARY = "lib"


def names_in(folder: Path) -> list[str]:
    """The policies that can be named."""
    if not folder.is_dir():
        return []
    files = {it.stem for it in folder.glob("*.rego") if it.is_file()}
    return sorted(files | {it.name for it in folder.iterdir() if it.is_dir() and it.name != LIBRARY})


def policies_in(folder: Path, names: Iterable[str]) -> list[Policy]:
    """Policies with their texts; one that is not there has no files.

    :raises OSError: when a file cannot be read.
    :raises UnicodeDecodeError: when one is no text.
    """
    return [
        Policy(name=name, files=_texts(folder, [folder / f"{name}.rego", *_below(folder / name)])) for name in names
    ]


def library_in(folder: Path) -> dict[str, str]:
    """What all policies may use: paths to texts."""
    return _texts(folder, _below(folder / LIBRARY))


def _below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.rego")) if folder.is_dir() else []


def _texts(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    return {str(it.relative_to(folder)): it.read_text() for it in files if it.is_file()}
