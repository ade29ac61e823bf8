"""Who says what measurements amount to."""

from __future__ import annotations

from typing import Protocol

from release_pipelines.core.seams import Seam


class Judge(Protocol):
    """Turns the samples of a stage into verdicts."""


JUDGES: Seam[Judge] = Seam("judge", "release_pipelines.core.judges")
