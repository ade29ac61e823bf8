"""Severities in OSV records: vectors of CVSS, and words. What cannot be computed is unknown, never mild."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from release_pipelines.core.model.finding import SEVERITIES, Rating, Score

WORDS: dict[str, Rating] = {
    "critical": "critical", "high": "high", "important": "high", "medium": "medium", "moderate": "medium", "low": "low",
    "negligible": "low", "unimportant": "low",
}  # fmt: skip


def scores_in(record: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> list[Score]:
    """All opinions in a record on what a package has: the package's own, the record's, and that of its database."""
    said = [*(it for entry in entries for it in entry.get("severity") or []), *(record.get("severity") or [])]
    scores = [opinion(str(it.get("type")), it.get("score")) for it in said]
    word = (record.get("database_specific") or {}).get("severity")
    if isinstance(word, str) and word.lower() in WORDS:
        scores.append(opinion(str(record["id"]).partition("-")[0], word))
    return list({it.model_dump_json(): it for it in scores}.values())


def opinion(source: str, said: object) -> Score:
    """One source's opinion.

    :param source: like ``CVSS_V3`` or ``Ubuntu``.
    :param said: a vector, or a word.
    """
    text = str(said or "").strip()
    if not source.startswith("CVSS"):
        return Score(source=source, rating=WORDS.get(text.lower(), "unknown"))
    number = _base_score(source, text)
    return Score(source=source, rating=_rated(number, source), score=number, vector=text or None)


def rating_of(scores: Iterable[Score]) -> Rating:
    """The highest of several; a vector that cannot be computed may be the worst of them."""
    known = list(scores)
    if any(it.rating == "critical" for it in known):
        return "critical"
    if any(it.vector and it.rating == "unknown" for it in known):
        return "unknown"
    return next((it for it in reversed(SEVERITIES) if any(score.rating == it for score in known)), "unknown")


def _base_score(source: str, vector: str) -> float | None:
    from cvss import CVSS2, CVSS3, CVSS4

    try:
        if vector.startswith("CVSS:4"):
            return float(CVSS4(vector).base_score)
        if vector.startswith("CVSS:3"):
            return float(CVSS3(vector).scores()[0])
        return float(CVSS2(vector).scores()[0]) if source == "CVSS_V2" else None
    except Exception:  # the library raises more than its own errors
        return None


def _rated(score: float | None, source: str) -> Rating:
    if score is None:
        return "unknown"
    if score >= 9 and source != "CVSS_V2":
        return "critical"
    return "high" if score >= 7 else "medium" if score >= 4 else "low"
