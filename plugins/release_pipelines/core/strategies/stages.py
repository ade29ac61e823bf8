"""From what a team wrote to the stages of its strategy."""

from __future__ import annotations

from typing import Literal

from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.stage import (
    Check,
    Question,
    Stage,
    StageKind,
    StepApprovalSettings,
)
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Match, Traffic, share_with
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.strategies.blue_green import BlueGreenSettings
from release_pipelines.core.strategies.canary import CanarySettings, StepSettings
from release_pipelines.core.strategies.rolling import RollingSettings
from release_pipelines.spec.release import ReleaseSpec


def strategy_name(spec: ReleaseSpec) -> Literal["canary", "blue_green", "rolling"]:
    """The strategy's key."""
    if spec.app.strategy.canary:
        return "canary"
    return "blue_green" if spec.app.strategy.blue_green else "rolling"


def track_of(spec: ReleaseSpec) -> Track:
    """Where the new version runs until it is promoted."""
    tracks: dict[str, Track] = {"canary": "canary", "blue_green": "preview", "rolling": "stable"}
    return tracks[strategy_name(spec)]


def retire_after(spec: ReleaseSpec) -> float:
    """Seconds that a track goes on running after it lost its traffic (R15); a rolling release has none beside stable."""
    chosen = spec.app.strategy.chosen
    return 0.0 if isinstance(chosen, RollingSettings) else chosen.retire_after


def stages(spec: ReleaseSpec) -> list[StageKind]:
    """All stages in production, in order; the last one is the bake."""
    chosen = spec.app.strategy.chosen
    if isinstance(chosen, CanarySettings):
        return _canary(spec, chosen)
    return _blue_green(spec, chosen) if isinstance(chosen, BlueGreenSettings) else _rolling(spec, chosen)


def metrics_of(spec: ReleaseSpec) -> list[Metric]:
    """All metrics by which a release is judged, each once."""
    metrics: list[Metric] = []
    for stage in stages(spec):
        if isinstance(stage, Stage):
            metrics += [metric for metric in stage.analysis.metrics if metric not in metrics]
    return metrics


def _canary(spec: ReleaseSpec, canary: CanarySettings) -> list[StageKind]:
    found = [_step(spec, canary, step, number) for number, step in enumerate(canary.steps, 1)]
    bake = Stage(
        name="bake",
        track="canary",
        traffic=share_with("canary", 100, sticky=canary.affinity),
        hold=canary.bake,
        analysis=spec.analysis,
        on_drift=canary.on_drift,
        wait_for_person=not canary.auto_rollback,
        last=True,
        paths=spec.app.smoke_test,
    )
    return [*found, bake]


def _step(spec: ReleaseSpec, canary: CanarySettings, step: StepSettings, number: int) -> StageKind:
    if step.verify:
        return Check(name=f"verify_{number}", verify=step.verify)
    if step.approval:
        return Question(name=f"approval_{number}", approval=step.approval)
    assert step.hold is not None  # noqa: S101 - the specification has seen to it
    analysis = step.analysis or spec.analysis
    if step.match:
        kind: Literal["header", "cookie"] = "header" if step.match.header else "cookie"
        testers = Match(kind=kind, name=step.match.header or step.match.cookie or "", value=step.match.value)
        name, traffic = f"testers_{number}", share_with("canary", 0, testers=testers)
    elif step.mirror:
        name, traffic = f"mirror_{number}", share_with("canary", 0, mirror=step.mirror)
    else:
        weight = step.weight or 0
        name, traffic = f"step_{weight}", share_with("canary", weight, sticky=canary.affinity)
        if JUDGES.get(analysis.judge).wants_baseline(analysis):
            weights = {"stable": 100 - 2 * weight, "canary": weight, "baseline": weight}
            traffic = Traffic(weights=weights, sticky=canary.affinity)
    return Stage(
        name=name,
        track="canary",
        traffic=traffic,
        replicas=canary.replicas,
        hold=step.hold,
        analysis=analysis,
        on_drift=canary.on_drift,
        wait_for_person=not canary.auto_rollback,
    )


def _blue_green(spec: ReleaseSpec, chosen: BlueGreenSettings) -> list[StageKind]:
    bake = Stage(
        name="bake",
        track="preview",
        traffic=share_with("preview", 100),
        hold=chosen.bake,
        analysis=spec.analysis,
        on_drift=chosen.on_drift,
        wait_for_person=not chosen.auto_rollback,
        last=True,
        paths=spec.app.smoke_test,
    )
    asked = StepApprovalSettings(timeout=chosen.promote_timeout)
    return [bake] if chosen.auto_promote else [Question(name="let_over", approval=asked), bake]


def _rolling(spec: ReleaseSpec, chosen: RollingSettings) -> list[StageKind]:
    def stage(name: str, share: int, hold: Hold, *, last: bool = False) -> Stage:
        return Stage(
            name=name,
            track="stable",
            share=share,
            hold=hold,
            analysis=spec.analysis,
            wait_for_person=not chosen.auto_rollback,
            last=last,
        )

    batches = [stage(f"batch_{share}", share, chosen.hold) for share in chosen.batches]
    return [*batches, stage("bake", 100, chosen.bake, last=True)]
