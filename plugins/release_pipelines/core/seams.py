"""Seams: places where something of a kind can be added, by a module here or by a package of somebody else.

A kind is a word like ``scanner``. What this package brings of it are the modules of one folder, each called as people write it in
their files, with the thing itself in a constant called like the kind: ``adapters/scanners/bandit.py`` has ``SCANNER``. What other
packages bring are entry points of the group ``release_pipelines.<kind>s``::

    [project.entry-points."release_pipelines.scanners"]
    semgrep = "acme_release.semgrep:SCANNER"

Names are known without importing anything: every process that parses a DAG file asks for them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any, Generic, TypeVar, cast

from release_pipelines.core.errors import ExtensionError

PREFIX = "release_pipelines."
"""What the names of all groups of entry points begin with."""

T = TypeVar("T")


@dataclass(frozen=True)
class Extension:
    """An entry point, and the distribution that brings it."""

    entry: EntryPoint
    package: str


@cache
def extensions() -> dict[str, dict[str, list[Extension]]]:
    """What other packages bring: groups to names to entry points. Read once a process, and only where a group is ours."""
    groups: dict[str, dict[str, list[Extension]]] = {}
    known: set[tuple[str, str, str, str]] = set()
    for distribution in distributions():
        text = distribution.read_text("entry_points.txt") or ""
        if f"[{PREFIX}" not in text:
            continue
        package = str(distribution.metadata["Name"])
        for entry in distribution.entry_points:
            identity = (package, entry.group, entry.name, entry.value)  # a path may stand on sys.path twice
            if entry.group.startswith(PREFIX) and identity not in known:
                known.add(identity)
                groups.setdefault(entry.group, {}).setdefault(entry.name, []).append(Extension(entry, package))
    return groups


@dataclass(frozen=True)
class Seam(Generic[T]):
    """All that can be had of one kind.

    :param kind: the word for one, like ``scanner``.
    :param folder: the package whose modules are those of this package. Names that begin with ``_`` are none.
    :param expects: the class, or the protocol that can be checked at run time, of what others bring.
    :param first: the order of the names of this package that come first where all are listed; the others come by alphabet.
    """

    kind: str
    folder: str
    expects: Any
    first: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The group of entry points."""
        plural = f"{self.kind[:-1]}ies" if self.kind.endswith("y") else f"{self.kind}s"
        return PREFIX + plural

    def names(self) -> list[str]:
        """All names, those of this package first. Imports nothing but the folder itself."""
        own = _own(self.folder, self.first)
        return [*own, *sorted(extensions().get(self.group, {}).keys() - set(own))]

    def get(self, name: str) -> T:
        """The one of that name.

        :raises ExtensionError: when there is none, more than one, it cannot be loaded, or is something else.
        """
        outcome = _loaded(self, name)
        if isinstance(outcome, ExtensionError):
            raise outcome.with_traceback(None)
        return cast("T", outcome)

    def usable(self) -> Iterator[tuple[str, T]]:
        """Those that can be used, by name; of the others :meth:`broken` speaks."""
        for name in self.names():
            if not isinstance(outcome := _loaded(self, name), ExtensionError):
                yield name, cast("T", outcome)

    def broken(self) -> Iterator[tuple[str, str]]:
        """Names of those that are installed and cannot be used, each with the sentence that says why."""
        for name in self.names():
            if isinstance(outcome := _loaded(self, name), ExtensionError):
                yield name, str(outcome)


@cache
def _own(folder: str, first: tuple[str, ...]) -> tuple[str, ...]:
    return (*first, *(name for name in _modules(folder) if name not in first))


@cache
def _modules(folder: str) -> tuple[str, ...]:
    package = importlib.import_module(folder)
    return tuple(sorted(it.name for it in pkgutil.iter_modules(package.__path__) if not it.name.startswith("_")))


@cache
def _loaded(seam: Seam[object], name: str) -> object:
    """The one of that name, or the error that says why there is none: what fails is not tried again at each question."""
    try:
        return _load(seam, name)
    except ExtensionError as error:
        return error


def _load(seam: Seam[object], name: str) -> object:
    others = extensions().get(seam.group, {}).get(name, [])
    own = name in _modules(seam.folder)
    packages = [*(["release-pipelines"] if own else []), *(it.package for it in others)]
    if len(packages) > 1:
        raise ExtensionError(
            f"The {seam.kind} `{name}` comes from {' and from '.join(packages)}: one of them is expected, remove the others."
        )
    if own:
        return getattr(importlib.import_module(f"{seam.folder}.{name}"), seam.kind.upper())
    if not others:
        raise ExtensionError(f"There is no {seam.kind} `{name}`: one of {', '.join(seam.names())} is expected.")
    extension = others[0]
    try:
        loaded = extension.entry.load()
    except Exception as error:  # somebody else's module may raise anything
        raise ExtensionError(
            f"The {seam.kind} `{name}` of package {extension.package} cannot be loaded from `{extension.entry.value}`: "
            f"{type(error).__name__}: {error}."
        ) from error
    if not isinstance(loaded, seam.expects):
        raise ExtensionError(
            f"The {seam.kind} `{name}` of package {extension.package} is {type(loaded).__name__}: "
            f"an instance of {seam.expects.__name__} is expected."
        )
    return loaded
