"""One OSV record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from release_pipelines.core.text import one_line

SCHEMA = 1
"""Major version of the OSV schema that is read."""


@dataclass(frozen=True)
class Record:
    """An advisory.

    :param id: its id.
    :param modified: when it was changed last, as Unix time in seconds.
    :param withdrawn: from when on it does not count any more, as Unix time; None: it counts.
    :param raw: all of it.
    """

    id: str
    modified: float
    withdrawn: float | None
    raw: Mapping[str, Any]


def record_in(content: bytes) -> Record:
    """The record in a JSON document.

    :raises ValueError: when it is none; the sentence has no full stop.
    """
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"JSON is expected ({one_line(error, 100)})") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("id"), str) or not isinstance(tree.get("modified"), str):
        raise ValueError("an OSV record with `id` and `modified` is expected")
    schema = str(tree.get("schema_version") or SCHEMA)
    if schema.partition(".")[0] not in (str(SCHEMA), "0"):
        raise ValueError(f"a record of OSV schema {SCHEMA} is expected, found {one_line(schema, 20)}")
    affected = tree.get("affected") or []
    if not isinstance(affected, list) or not all(isinstance(it, dict) for it in affected):
        raise ValueError("`affected` of an OSV record is a list of objects")
    withdrawn = tree.get("withdrawn")
    return Record(tree["id"], moment(tree["modified"]), moment(withdrawn) if withdrawn else None, tree)


def moment(text: str) -> float:
    """A time of RFC 3339 as Unix time in seconds.

    :raises ValueError: when it is none.
    """
    from dateutil.parser import isoparse

    try:
        at = isoparse(text)
    except (ValueError, TypeError):
        raise ValueError(f"a time like 2026-01-31T12:00:00Z is expected, found {one_line(text, 40)}") from None
    return float((at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp())


def in_words(at: float) -> str:
    """A moment for sentences, like ``2026-01-31 12:00 UTC``."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
