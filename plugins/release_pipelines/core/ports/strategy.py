"""How a new version takes over."""

from __future__ import annotations

from typing import Protocol

from release_pipelines.core.seams import Seam


class Strategy(Protocol):
    """Turns what a team wrote into stages."""


STRATEGIES: Seam[Strategy] = Seam("strategy", "release_pipelines.core.strategies")
