"""The audit trail for people: as CSV, which a spreadsheet shows and does not calculate; as JSON, which can be verified."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from release_pipelines.core.audit.row import PERSONAL, Row, Text
from release_pipelines.core.audit.verifying import Head

CALCULATES = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
"""What a spreadsheet takes for the beginning of a formula (OWASP ASVS 5, 1.2.10)."""
FORMAT = "release-audit/1"
FORGOTTEN = "(forgotten)"
COLUMNS = (
    "number",
    "at",
    "actor",
    "action",
    "phase",
    "app",
    "environment",
    "release",
    "reason",
    "about",
    "address",
    "data",
)


class NotReadable(ValueError):
    """A text that is no exported audit trail; the message says what is expected."""


def as_csv(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV (RFC 4180). Text that a spreadsheet would calculate gets one apostrophe; numbers stay numbers."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(list(columns))
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return out.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(CALCULATES) else value


def cells(row: Row) -> list[object]:
    """A row's cells, as :data:`COLUMNS` name them."""
    at = datetime.fromtimestamp(row.at / 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    texts = {name: FORGOTTEN if text.value is None else text.value for name, text in row.texts.items()}
    data = " ".join(f"{name}={value}" for name, value in row.data.items())
    told = {**{name: texts.get(name, "") for name in PERSONAL}, "at": at, "data": data}
    return [told[name] if name in told else getattr(row, name) for name in COLUMNS]


def as_json(rows: Iterable[Row], head: Head | None) -> str:
    """Rows as JSON, unchanged, with the head of the trail when they were read."""
    document: dict[str, Any] = {"format": FORMAT, "head": None if head is None else asdict(head)}
    return json.dumps({**document, "rows": [asdict(row) for row in rows]}, indent=1)


def read_json(text: str) -> tuple[list[Row], Head | None]:
    """Rows, and their head, of an export.

    :raises NotReadable: when it is none.
    """
    try:
        document = json.loads(text)
    except ValueError:
        first = text.lstrip("\ufeff").partition("\n")[0]
        hint = ": a CSV is for people, and cannot be verified" if first.startswith(COLUMNS[0] + ",") else ""
        raise NotReadable(f"the JSON of `release audit --json` is expected{hint}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotReadable(f"the JSON of `release audit --json` is expected, with `format` {FORMAT}")
    try:
        rows = [
            Row(**{**it, "texts": {name: Text(**text) for name, text in it["texts"].items()}})
            for it in document["rows"]
        ]
        head = Head(**document["head"]) if document["head"] else None
    except (TypeError, KeyError, AttributeError) as error:
        raise NotReadable(
            f"the JSON of `release audit --json` is expected, with rows as it writes them ({error})"
        ) from None
    return rows, head
