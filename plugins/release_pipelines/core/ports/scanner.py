"""What looks at source code before anything is deployed."""

from __future__ import annotations

from typing import Protocol

from release_pipelines.core.seams import Seam


class Scanner(Protocol):
    """Looks at a folder of source code."""


SCANNERS: Seam[Scanner] = Seam("scanner", "release_pipelines.adapters.scanners")
