"""Placeholders in a team's own PromQL."""

from __future__ import annotations

import re
from collections.abc import Mapping

PLACEHOLDERS = ("app", "track", "namespace", "environment", "window")

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def unknown_placeholders(promql: str) -> list[str]:
    """Names in ``{{ … }}`` that mean nothing."""
    return [name for name in _PLACEHOLDER.findall(promql) if name not in PLACEHOLDERS]


def fill(promql: str, values: Mapping[str, str]) -> str:
    """``promql`` with each ``{{ name }}`` replaced; values must be escaped already.

    :raises KeyError: for a name that is not in ``values``.
    """
    return _PLACEHOLDER.sub(lambda match: values[match[1]], promql)
