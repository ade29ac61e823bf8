"""What checks found about a digest: kept when it is known, and shown again when the digest is released anew (R10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from release_pipelines.airflow.operator import is_blank
from release_pipelines.core.templates import NOT_CHECKED

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History


def found_in(evidence: Mapping[str, str]) -> dict[str, str]:
    """The checks that have a result, by their names."""
    words = {name: str(result or "").strip() for name, result in evidence.items()}
    return {name: result for name, result in words.items() if not is_blank(result) and result not in ("", NOT_CHECKED)}


def record_evidence(history: History, release: str, digest: str, evidence: Mapping[str, str]) -> None:
    """Keep what checks of a release found about its digest."""
    found = found_in(evidence)
    if found:
        sentence = "; ".join(f"{name}: {result}" for name, result in found.items())
        history.record_event(release, "evidence", sentence, None, {"digest": digest, "results": found})
