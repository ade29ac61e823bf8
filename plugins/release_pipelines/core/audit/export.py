"""The audit trail for people: as CSV, which a spreadsheet shows and does not calculate; as JSON, which can be verified."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from release_pipelines.core.audit.row import PERSONAL, Row, Text
from release_pipelines.core.audit.verifying import Head

CALCULATES = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
"""What a spreadsheet takes for the beginning of a formula (OWASP ASVS 5, 1.2.10)."""
FORMAT = "release-audit/1"
FORGOTTEN = "(forgotten)"
DAMAGED = "(damaged)"
"""What stands where nobody can say what there was."""
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
    return "".join(csv_pieces(columns, rows))


def csv_pieces(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """The same, a row at a time."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(list(columns))
    for row in rows:
        yield out.getvalue()
        out.seek(0)
        out.truncate()
        writer.writerow([_harmless(value) for value in row])
    yield out.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(CALCULATES) else value


def cells(row: Row) -> list[object]:
    """A row's cells, as :data:`COLUMNS` name them."""
    moment = moment_of(row)
    at = DAMAGED if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    texts = {name: FORGOTTEN if text.value is None else text.value for name, text in row.texts.items()}
    data = " ".join([*([DAMAGED] if row.damaged else []), *(f"{name}={value}" for name, value in row.data.items())])
    told = {**{name: texts.get(name, "") for name in PERSONAL}, "at": at, "data": data}
    return [told[name] if name in told else getattr(row, name) for name in COLUMNS]


def moment_of(row: Row) -> datetime | None:
    """When it was, in UTC; None where it is damaged so that no moment is left."""
    if row.damaged and row.at == 0:
        return None
    try:
        return datetime.fromtimestamp(row.at / 1_000_000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(frozen=True)
class Export:
    """An exported audit trail.

    :param head: its end when the rows were read; None: it was missing, or these are a part.
    :param part: which part it is, as ``app``, ``since`` and ``until``; None: all.
    """

    rows: list[Row]
    head: Head | None
    part: Mapping[str, Any] | None = None


def as_json(export: Export) -> str:
    """An export as JSON: its rows unchanged; that it is a part stands in it."""
    return "".join(json_pieces(export.rows, export.head, export.part))


def json_pieces(rows: Iterable[Row], head: Head | None, part: Mapping[str, Any] | None) -> Iterator[str]:
    """The same, a row at a time."""
    ends = None if head is None else {"hash": head.hash, "count": head.count}
    beginning = json.dumps({"format": FORMAT, "part": part, "head": ends, "rows": []}, indent=1)
    yield beginning.removesuffix("]\n}")
    between = "\n"
    for row in rows:
        yield between + textwrap.indent(json.dumps(_kept(row), indent=1), "  ")
        between = ",\n"
    yield "]\n}" if between == "\n" else "\n ]\n}"


def _kept(row: Row) -> dict[str, Any]:
    kept = asdict(row)
    return kept if row.damaged else {name: value for name, value in kept.items() if name != "damaged"}


def read_json(text: str) -> Export:
    """An export, read again.

    :raises NotReadable: when it is none.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        first = text.lstrip("\ufeff").partition("\n")[0]
        hint = ": a CSV is for people, and cannot be verified" if first.startswith(COLUMNS[0] + ",") else ""
        raise NotReadable(f"the JSON of `release audit --json` is expected{hint}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotReadable(f"the JSON of `release audit --json` is expected, with `format` {FORMAT}")
    try:
        rows = [_read(it) for it in document["rows"]]
        head = document["head"] and Head(document["head"]["hash"], document["head"]["count"], "the export", last=True)
        part = document.get("part")
        if head and not (isinstance(head.hash, str) and type(head.count) is int):
            raise TypeError("its head has a hash and a count")
        if not (part is None or isinstance(part, dict)):
            raise TypeError("its part has app, since and until")
    except (TypeError, KeyError, AttributeError) as error:
        raise NotReadable(
            f"the JSON of `release audit --json` is expected, with rows as it writes them ({error})"
        ) from None
    if head is None and "part" not in document:  # exports of before said only so that they are one
        part = {}
    return Export(rows, head or None, part)


def _read(it: Mapping[str, Any]) -> Row:
    if type(it["number"]) is not int:
        raise TypeError("a row has a number")
    texts = it["texts"]
    told = {name: Text.found(**text) for name, text in texts.items()} if isinstance(texts, dict) else None
    return Row.found(**{**it, "texts": told})
