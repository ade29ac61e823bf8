"""Severities of advisories: vectors of CVSS and words of distributions → one rating. What cannot be computed is unknown, never mild."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from release_pipelines.core.model.finding import SEVERITIES, Finding, Rating, Score, Severity

WORDS: dict[str, Severity] = {
    "critical": "critical",
    "high": "high", "important": "high", "error": "high", "urgent": "high", "serious": "high",
    "medium": "medium", "moderate": "medium", "warning": "medium",
    "low": "low", "minor": "low", "note": "low", "negligible": "low", "unimportant": "low", "none": "low",
    "info": "low", "informational": "low", "information": "low",
}  # fmt: skip
"""How distributions and tools name severities. A word that does not stand here is no opinion: ``untriaged``, ``not yet assigned``."""

_VECTOR = re.compile(r"\(?(CVSS:(?P<version>\d\.\d)/)?[A-Za-z]+:[A-Za-z]+(/[A-Za-z]+:[A-Za-z]+)+\)?")


def rated(score: float, *, second: bool = False) -> Rating:
    """A base score as a severity.

    :param score: 0 to 10; anything else is unknown.
    :param second: whether it is one of CVSS 2, which has no critical ones.
    """
    if not (math.isfinite(score) and 0 <= score <= 10):
        return "unknown"
    if score >= 9 and not second:
        return "critical"
    return "high" if score >= 7 else "medium" if score >= 4 else "low"


def opinion(source: str, said: object) -> Score:
    """One source's opinion of a severity, as a score.

    :param source: who says it, like ``CVSS_V4`` or ``Ubuntu``.
    :param said: a CVSS vector (2.0, 3.0, 3.1, 4.0), a base score, or a word.
    """
    text = "" if said is None or isinstance(said, bool) else str(said).strip()
    if text.upper().startswith("CVSS:") or _VECTOR.fullmatch(text):
        number, second = _base_score(text)
        rating = "unknown" if number is None else rated(number, second=second)
        return Score(source=source, rating=rating, score=number, vector=text)
    try:
        number = float(text)
    except ValueError:
        return Score(source=source, rating=WORDS.get(text.lower().rstrip("*"), "unknown"))
    rating = rated(number, second=source.upper().startswith("CVSS_V2"))
    return Score(source=source, rating=rating, score=number if rating != "unknown" else None)


def _base_score(vector: str) -> tuple[float | None, bool]:
    """A vector's base score; None where it cannot be computed. Also whether it is one of CVSS 2."""
    from cvss import CVSS2, CVSS3, CVSS4

    found = _VECTOR.fullmatch(vector)
    version = found["version"] if found else ""
    vector = vector.strip("()")
    try:
        if version in ("3.0", "3.1"):
            return float(CVSS3(vector).scores()[0]), False
        if version == "4.0":
            return float(CVSS4(vector).base_score), False
        if found and version is None:
            return float(CVSS2(vector).scores()[0]), True
    except Exception:  # the library raises more than its own errors, like KeyError for some metrics
        return None, False
    return None, False


def rating_of(scores: Iterable[Score], words: Iterable[Rating] = ()) -> Rating:
    """The highest of several opinions.

    Who has none (``unknown`` without a vector) is outvoted. A vector that cannot be computed is not: it may be the worst of them.

    :param words: further ratings.
    """
    opinions = list(scores)
    known = {it.rating for it in opinions} | set(words)
    if "critical" in known:
        return "critical"
    if any(it.vector and it.rating == "unknown" for it in opinions):
        return "unknown"
    return next((it for it in reversed(SEVERITIES) if it in known), "unknown")


def together(findings: Iterable[Finding]) -> Rating:
    """The severity of one flaw of which several records speak."""
    found = list(findings)
    return rating_of((score for it in found for score in it.scores), (it.severity for it in found))
