"""From what a team wrote to the stages of its strategy, and to the plan in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.stage import Question, Stage, StageKind
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic
from release_pipelines.core.model.units import lasting
from release_pipelines.core.ports.strategy import Promotion
from release_pipelines.core.sentences import limits

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


def strategy_name(spec: ReleaseSpec) -> str:
    """The strategy's key."""
    return spec.app.strategy.name


def track_of(spec: ReleaseSpec) -> Track:
    """Where the new version runs until it is promoted."""
    return spec.app.strategy.strategy.track


def promotion_of(spec: ReleaseSpec) -> Promotion:
    """The parameters of the app's promotion."""
    return spec.app.strategy.strategy.promotion(spec.app.strategy.chosen)


def retire_after(spec: ReleaseSpec) -> float:
    """Time for which a track keeps running after it lost its traffic, in seconds (R15); a rolling release has none beside stable."""
    return promotion_of(spec).retire_after


def stages(spec: ReleaseSpec) -> list[StageKind]:
    """All stages in the last environment, in order; the last one is the bake."""
    strategy = spec.app.strategy
    return strategy.strategy.stages(strategy.chosen, spec.analysis, spec.app.smoke_test)


def stages_before(spec: ReleaseSpec) -> list[tuple[StageKind, Stage | None]]:
    """Each stage with the judged stage before it, whose traffic the version has while a command or a person is waited for."""
    pairs: list[tuple[StageKind, Stage | None]] = []
    judged: Stage | None = None
    for stage in stages(spec):
        pairs.append((stage, judged))
        judged = stage if isinstance(stage, Stage) else judged
    return pairs


def judged_before(spec: ReleaseSpec, order: Sequence[str], task_id: str) -> Stage | None:
    """The judged stage whose traffic the version has while a task works; None: it has none yet, or none that is judged.

    :param order: ids of tasks in the order in which they work.
    """
    if task_id not in order:
        return None
    names = {f"{spec.production.name}.{it.name}": it for it in stages(spec) if isinstance(it, Stage)}
    before = [names[it] for it in order[: order.index(task_id)] if it in names]
    return before[-1] if before else None


def metrics_of(spec: ReleaseSpec) -> list[Metric]:
    """All metrics by which a release is judged, each once."""
    metrics: list[Metric] = []
    for stage in stages(spec):
        if isinstance(stage, Stage):
            metrics += [metric for metric in stage.analysis.metrics if metric not in metrics]
    return metrics


def splits_of(spec: ReleaseSpec) -> list[Traffic]:
    """Every split of the traffic that the stages ask for, and the one that they begin and end with."""
    asked = [stage.traffic for stage in stages(spec) if isinstance(stage, Stage) and stage.traffic is not None]
    return [ALL_TO_STABLE, *asked]


def plan_in_words(spec: ReleaseSpec) -> str:
    """How the traffic will move, in a sentence."""
    words = " → ".join(words_of(it) for it in stages(spec))
    name = strategy_name(spec).replace("_", "-")
    return f"{name}: {words}, then it is promoted; back at once unless {limits(spec.analysis)}."


def words_of(stage: StageKind) -> str:
    """A stage in a few words."""
    if isinstance(stage, Stage):
        return f"{_share(stage)} for {_hold(stage.hold)}"
    return "a person says yes" if isinstance(stage, Question) else f"`{' '.join(stage.verify.command)}` passes"


def _share(stage: Stage) -> str:
    if stage.traffic is None:
        return f"{stage.share} % of the replicas"
    if stage.traffic.testers:
        return f"testers ({stage.traffic.testers.name}: {stage.traffic.testers.value})"
    return f"a copy of {stage.traffic.mirror} %" if stage.traffic.mirror else f"{stage.weight} %"


def _hold(hold: Hold) -> str:
    return lasting(hold.min) if hold.min == hold.max else f"{lasting(hold.min)} to {lasting(hold.max)}"
