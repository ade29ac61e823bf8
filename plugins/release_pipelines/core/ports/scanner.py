"""Scanners: they check source code before anything is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from release_pipelines.core.model.finding import ScanResult
from release_pipelines.core.seams import Seam


@runtime_checkable
class Scanner(Protocol):
    """Scans a folder of source code.

    A scanner that could not look says ``unknown``, which blocks the release: it is never ``clean``.
    """

    name: str

    def missing(self) -> str | None:
        """What the scanner needs and this worker does not have, in a sentence; None: it can look."""

    def scan(self, directory: Path, dockerfile: str) -> ScanResult:
        """Scan a build context. Never raises.

        :param directory: the build context.
        :param dockerfile: path of the Dockerfile inside it.
        """


SCANNERS: Seam[Scanner] = Seam("scanner", "release_pipelines.adapters.scanners", Scanner, ("hadolint", "bandit"))
