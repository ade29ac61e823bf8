"""Strategies: the ways in which a new version takes over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from release_pipelines.core.model.track import Track
from release_pipelines.core.seams import Seam

if TYPE_CHECKING:
    from release_pipelines.core.model.analysis import Analysis
    from release_pipelines.core.model.base import Value
    from release_pipelines.core.model.hold import Hold
    from release_pipelines.core.model.mistake import Mistake
    from release_pipelines.core.model.stage import OnDrift, StageKind
    from release_pipelines.core.model.target import RouterSettings, Target


@dataclass(frozen=True)
class Promotion:
    """Parameters of the promotion.

    :param return_weights: falling weights, in percent, of the judged track while its traffic returns to stable; 0 comes last by
        itself.
    :param keep_old: seconds that the old version keeps running on stable before it is changed.
    :param retire_after: time for which the judged track keeps running after it lost its traffic, in seconds (R15).
    :param return_hold: seconds that stable is watched after each of these weights.
    :param on_drift: what to do when somebody else puts something else on stable meanwhile (R14).
    """

    return_weights: list[int] = field(default_factory=list)
    keep_old: float = 0.0
    retire_after: float = 0.0
    return_hold: float = 0.0
    on_drift: OnDrift = "reassert"


@dataclass(frozen=True)
class StrategyPlace:
    """The last environment, as far as a strategy has to fit it.

    :param environment: its name.
    :param platform: the name of its platform.
    :param router: its router's settings.
    :param replicas: replicas of stable there.
    :param has_host: whether its address has a host of its own, or a preview has one.
    """

    environment: str
    platform: str
    router: RouterSettings
    replicas: int
    has_host: bool


@runtime_checkable
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

    def with_analyses(self, settings: Any, change: Callable[[Analysis], Analysis]) -> Any:
        """The settings, with each analysis of their own changed."""

    def judged(self, where: str, settings: Any, analysis: Analysis) -> Iterator[tuple[str | None, Analysis, Hold]]:
        """Everything that is judged: the path of its own analysis (None: the app's), the analysis, and how long it has.

        :param where: the path of ``settings`` in the app's file.
        """

    def mistakes(self, where: str, settings: Any, place: StrategyPlace, analysis: Analysis) -> Iterator[Mistake]:
        """What does not fit between the settings and the last environment.

        :param where: the path of ``settings`` in the app's file.
        """

    def promotion(self, settings: Any) -> Promotion:
        """The parameters of the promotion."""

    def adapt(self, settings: Any, target: Target) -> Target:
        """The target in the last environment and before, as this strategy needs it."""


STRATEGIES: Seam[Strategy] = Seam(
    "strategy", "release_pipelines.core.strategies", Strategy, first=("canary", "blue_green", "rolling")
)
