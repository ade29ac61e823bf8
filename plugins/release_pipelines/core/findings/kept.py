"""What scanners of a release found, whole, in the texts that are kept with it."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import TypeAdapter

from release_pipelines.core.model.base import stored
from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.model.records import Attachment

BEGINNING, ENDING = "scan-", ".json"
"""What the name of such a text begins and ends with; the scanner's name stands between."""
RESULTS = TypeAdapter(list[ScanResult])


def results_in(texts: Iterable[Attachment]) -> dict[str, list[ScanResult]]:
    """Names of scanners to what they found.

    :param texts: all texts of the release.
    """
    with stored():  # another version may have kept more of them
        return {
            it.name.removeprefix(BEGINNING).removesuffix(ENDING): RESULTS.validate_json(it.content)
            for it in texts
            if it.name.startswith(BEGINNING) and it.name.endswith(ENDING)
        }
