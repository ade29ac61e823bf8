"""What an OSV record says of its severity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from release_pipelines.core.findings.severity import WORDS, opinion
from release_pipelines.core.model.finding import Score


def scores_in(record: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> list[Score]:
    """All opinions in a record on what a package has: the package's own, the record's, and that of its database."""
    said = [*(it for entry in entries for it in entry.get("severity") or []), *(record.get("severity") or [])]
    scores = [opinion(str(it.get("type")), it.get("score")) for it in said]
    word = (record.get("database_specific") or {}).get("severity")
    if isinstance(word, str) and word.lower() in WORDS:
        scores.append(opinion(str(record["id"]).partition("-")[0], word))
    return list({it.model_dump_json(): it for it in scores}.values())
