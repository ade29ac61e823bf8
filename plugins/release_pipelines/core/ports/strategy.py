"""How a new version takes over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from release_pipelines.core.model.track import Track
from release_pipelines.core.seams import Seam

if TYPE_CHECKING:
    from release_pipelines.core.model.analysis import Analysis
    from release_pipelines.core.model.base import Value
    from release_pipelines.core.model.stage import StageKind
    from release_pipelines.core.model.target import Target


@dataclass(frozen=True)
class Promotion:
    """How the version that held becomes stable.

    :param return_weights: falling weights, in percent, of the track that held on the way back to stable; 0 comes last by itself.
    :param keep_old: seconds that the old version keeps running on stable before it is changed.
    :param retire_after: seconds that the track that held keeps running after it lost its traffic (R15).
    """

    return_weights: list[int] = field(default_factory=list)
    keep_old: float = 0.0
    retire_after: float = 0.0


class Strategy(Protocol):
    """Turns what a team wrote under its name into the stages of a release. ``settings`` is an instance of :attr:`model`."""

    model: type[Value]
    """What a team writes under the strategy's name."""
    track: Track
    """Where the new version runs until it is promoted."""

    def stages(self, settings: Any, analysis: Analysis, paths: list[str]) -> list[StageKind]:
        """All stages in the last environment, in order; the last one is the bake.

        :param analysis: how a stage is judged that does not say so itself.
        :param paths: paths that must answer as the new version soon after it has all traffic.
        """

    def promotion(self, settings: Any) -> Promotion:
        """How the version that held becomes stable."""

    def adapt(self, settings: Any, target: Target) -> Target:
        """The target in the last environment and before, as this strategy needs it."""


STRATEGIES: Seam[Strategy] = Seam(
    "strategy", "release_pipelines.core.strategies", first=("canary", "blue_green", "rolling")
)
