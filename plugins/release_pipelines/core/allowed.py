"""Lists of what is allowed."""

from __future__ import annotations

from collections.abc import Iterable


def is_allowed(name: str, allowed: Iterable[str]) -> bool:
    """Whether a list names it.

    :param allowed: whole names, and beginnings that end with ``.*``, like ``acme.operators.*``: all that stands below.
    """
    return any(name == it or (it.endswith(".*") and name.startswith(it[:-1])) for it in allowed)
