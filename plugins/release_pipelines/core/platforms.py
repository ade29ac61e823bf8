"""Platforms of images, like ``linux/arm64/v8``: operating system, architecture, variant."""

from __future__ import annotations

import re

PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/v[0-9]+)?")
USUAL = {("arm64", ""): "v8", ("arm", ""): "v7", ("amd64", ""): "v1"}
"""The variant that is meant where none is named."""


def fits(wanted: str, known: str) -> bool:
    """Whether two names mean the same platform."""
    return _whole(wanted) == _whole(known)


def _whole(name: str) -> tuple[str, str, str]:
    system, architecture, variant = (*name.strip().split("/"), "", "", "")[:3]
    return system, architecture, variant or USUAL.get((architecture, ""), "")
