"""What scanners of a release found, whole: each scanner's results are a text of the release, beside its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from release_pipelines.core.findings.kept import BEGINNING, ENDING, RESULTS, results_in
from release_pipelines.core.model.finding import ScanResult

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History


def keep_results(history: History, release: str, scanner: str, results: Sequence[ScanResult]) -> None:
    """Keep what a scanner of a release found; what it had found in an earlier try is replaced.

    :param results: one for the source, or one for each platform of the image.
    """
    content = RESULTS.dump_json(list(results)).decode()
    history.attach(release, f"{BEGINNING}{scanner}{ENDING}", "application/json", content)


def kept_results(history: History, release: str) -> dict[str, list[ScanResult]]:
    """Names of scanners to what they found for a release."""
    return results_in(history.attachments(release))
