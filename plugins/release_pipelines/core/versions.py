"""Versions and their order (R17)."""

from __future__ import annotations

import re
from datetime import date

_NUMBER = r"(?:0|[1-9][0-9]*)"

_SEMVER = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-((?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
    rf"(?:\.(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
)

_DATE = re.compile(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})(?:\.([0-9]+))?")

_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def version_fits(scheme: str, version: str) -> str | None:
    """Why the version does not fit its scheme (``semver``, ``date`` or ``commit``), in a sentence; None: it fits."""
    if scheme == "semver":
        if _SEMVER.fullmatch(version) and len(version) <= 128:
            return None
        if "+" in version:
            return f"Version `{version}` has build metadata after `+`, which an image tag cannot carry: use `-`."
        return f"Version `{version}` is no semantic version: 1.4.0 or 2.0.0-rc.1 is expected, without a leading v."
    if scheme == "date":
        return None if _day(version) else f"Version `{version}` is no date: 2026.11.23 or 20261123 is expected."
    if _COMMIT.fullmatch(version):
        return None
    return f"Version `{version}` is no commit: 7 to 40 hexadecimal digits in lower case are expected."


def goes_backward(scheme: str, old: str, new: str) -> bool:
    """Whether ``new`` is older than ``old`` by the scheme's order. Commits and versions that don't fit have none."""
    if scheme == "semver":
        before, after = _precedence(old), _precedence(new)
    elif scheme == "date":
        before, after = _day(old), _day(new)
    else:
        return False
    return before is not None and after is not None and after < before


def _precedence(version: str) -> tuple[object, ...] | None:
    """Semantic versioning's order: pre-release before release, numbers before words, fewer parts before more."""
    match = _SEMVER.fullmatch(version)
    if not match:
        return None
    parts = match[4].split(".") if match[4] else []
    before = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
    return int(match[1]), int(match[2]), int(match[3]), not parts, before


def _day(version: str) -> tuple[object, ...] | None:
    match = _DATE.fullmatch(version)
    if not match:
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4])), int(match[5] or 0)
    except ValueError:
        return None


def is_older(version: str, than: str) -> bool:
    """Whether a version is older than another one, by the scheme that both fit; False where none says so."""
    return any(
        goes_backward(scheme, than, version)
        for scheme in ("semver", "date")
        if version_fits(scheme, version) is None and version_fits(scheme, than) is None
    )


def sort_key(version: str | None) -> tuple[object, ...]:
    """Sorts versions by their order: 1.0.9 before 1.0.10. Those without an order come first, by their letters; what is unknown before all."""
    if version is None:
        return (0,)
    if (semantic := _precedence(version)) is not None:
        return 2, *semantic
    if (day := _day(version)) is not None:
        return 3, *day
    return 1, version
