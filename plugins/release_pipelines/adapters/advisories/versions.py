"""The order of versions in each ecosystem.

Only "less than" of the libraries is asked, and everything else follows from it: some of their other operators contradict it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import zip_longest
from typing import Any

from release_pipelines.core.text import one_line

SEMANTIC = re.compile(r"\d+(\.\d+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
GO_TOOLCHAIN = re.compile(r"(\d+\.\d+)(?:\.(\d+))?(rc|beta)(\d+)")
COMPOSER = re.compile(r"\d+|[a-z]+|#")
COMPOSER_STAGES = {"dev": -5, "alpha": -4, "a": -4, "beta": -3, "b": -3, "rc": -2, "#": -1, "pl": 1, "p": 1, "patch": 1}


class NoOrder(ValueError):
    """A version has no place in its ecosystem's order; the sentence has no full stop."""


class Version:
    """A version of one ecosystem. ``a < b``, ``a <= b``, ``a == b`` and so on never contradict each other.

    :param ecosystem: name in OSV records, without a release.
    :raises NoOrder: when the ecosystem, or the version, is not known.
    """

    def __init__(self, ecosystem: str, text: str) -> None:
        self.text = text
        self._key = _key(ecosystem, text)

    def compare(self, other: Version) -> int:
        """Below, at, or above zero, as this version is older, the same, or newer."""
        if self._key < other._key:
            return -1
        return 1 if other._key < self._key else 0

    def __lt__(self, other: Version) -> bool:
        return self.compare(other) < 0

    def __le__(self, other: Version) -> bool:
        return self.compare(other) <= 0

    def __gt__(self, other: Version) -> bool:
        return self.compare(other) > 0

    def __ge__(self, other: Version) -> bool:
        return self.compare(other) >= 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.compare(other) == 0

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Version({self.text!r})"


def known(ecosystem: str) -> bool:
    """Whether versions of an ecosystem can be compared."""
    return ecosystem in _orders()


@lru_cache(maxsize=100_000)
def _key(ecosystem: str, text: str) -> Any:
    order = _orders().get(ecosystem)
    if order is None:
        raise NoOrder(f"versions of {one_line(ecosystem, 60)} cannot be compared here")
    try:
        return order(text.strip())
    except Exception:  # each library has its own errors
        raise NoOrder(f"{one_line(text, 60) or 'nothing'} is no version of {ecosystem}") from None


@cache
def _orders() -> dict[str, Callable[[str], Any]]:
    from univers import versions

    semantic = _semantic
    return {
        "SEMVER": semantic,
        "npm": semantic,
        "crates.io": semantic,
        "Go": _go,
        "Hex": semantic,
        "Pub": semantic,
        "SwiftURL": semantic,
        "GitHub Actions": semantic,
        "PyPI": _python,
        "Maven": versions.MavenVersion,
        "NuGet": versions.NugetVersion,
        "RubyGems": versions.RubygemsVersion,
        "Packagist": _composer,
        "Debian": _debian,
        "Ubuntu": _debian,
        "Alpine": versions.AlpineLinuxVersion,
        "Wolfi": versions.AlpineLinuxVersion,
        "Chainguard": versions.AlpineLinuxVersion,
        "AlmaLinux": versions.RpmVersion,
        "Rocky Linux": versions.RpmVersion,
    }


def _semantic(text: str) -> Any:
    """The library takes ``1.2.3.4`` for 1.2.3: what has no such form is none."""
    from univers.versions import SemverVersion

    plain = text[1:] if text[:1] in ("v", "V") else text
    if not SEMANTIC.fullmatch(plain):
        raise ValueError(text)
    return SemverVersion(plain.partition("+")[0])


def _go(text: str) -> Any:
    """Of modules, and of Go itself, whose candidates are called 1.22rc1."""
    plain = text.removeprefix("go")
    if candidate := GO_TOOLCHAIN.fullmatch(plain):
        minor, patch, stage, number = candidate.groups()
        plain = f"{minor}.{patch or 0}-{stage}.{number}"
    return _semantic(plain)


def _python(text: str) -> Any:
    """Without the label of a build, like ``+cpu``: advisories speak of what was published."""
    from packaging.version import Version as PythonVersion

    return PythonVersion(PythonVersion(text).public)


def _debian(text: str) -> Any:
    """An epoch of 0 is none."""
    from univers.versions import DebianVersion

    return DebianVersion(text if ":" in text else f"0:{text}")


class _Composer:
    """As PHP's ``version_compare`` does; the library sorts its words by alphabet."""

    def __init__(self, text: str) -> None:
        plain = text.lower().removeprefix("v").partition("+")[0]
        self.parts = [_part(it) for it in COMPOSER.findall(plain)]
        if not re.fullmatch(r"\d[0-9a-z.#_-]*", plain):
            raise ValueError(text)
        while self.parts and self.parts[-1] == (0, 0):  # 1.0 is 1.0.0.0
            self.parts.pop()

    def __lt__(self, other: _Composer) -> bool:
        return next((a < b for a, b in zip_longest(self.parts, other.parts, fillvalue=(0, 0)) if a != b), False)


def _part(word: str) -> tuple[int, int]:
    """A number, or a stage: dev < alpha < beta < RC < nothing < patch, and a number above all."""
    if word.isdigit():
        return (2, int(word)) if int(word) else (0, 0)
    if word not in COMPOSER_STAGES:
        raise ValueError(word)
    return (-1 if COMPOSER_STAGES[word] < 0 else 1, COMPOSER_STAGES[word])


_composer = _Composer
