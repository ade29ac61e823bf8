"""A strategy as data: the stages that a release goes through in production, one task each. The engine knows no more."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from release_pipelines.domain.release import capacity
from release_pipelines.domain.values import Match, Target, Track, Traffic, Value, share_with
from release_pipelines.spec.analysis import AnalysisSpec
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.strategy import (
    BlueGreenSpec,
    CanarySpec,
    HoldSpec,
    OnDrift,
    RollingSpec,
    StepApprovalSpec,
    StepSpec,
    VerifySpec,
)


class Stage(Value):
    """One stage: capacity first, then traffic, then a hold in which the version is judged."""

    name: str = Field(description="Like step_10, testers, bake: the task's id, and the step in notes and verdicts")
    track: Track = Field(description="Where the new version is")
    traffic: Traffic | None = Field(None, description="None: as it is (rolling: stable has all of it anyway)")
    share: int = Field(100, description="Rolling: percent of stable's replicas that are replaced in this stage")
    hold: HoldSpec
    analysis: AnalysisSpec
    on_drift: OnDrift = "reassert"
    wait_for_person: bool = Field(
        False, description="A failing verdict returns the traffic and waits for a person (R18)"
    )
    last: bool = Field(False, description="The bake: what `promote now` goes on to")
    paths: list[str] = Field(
        default_factory=list,
        description="With all traffic: these must answer as the new version where the traffic enters, soon after the switch",
    )
    replicas: int | None = Field(
        None, description="Fixed capacity of the track; None: it follows the traffic, as it always does at 100 %"
    )

    @property
    def weight(self) -> int:
        """Percent of the traffic that the new version has in this stage."""
        return self.traffic.weight(self.track) if self.traffic else self.share


class Check(Value):
    """A stage that is a command which has to end with 0."""

    name: str
    verify: VerifySpec


class Question(Value):
    """A stage that is a person's answer."""

    name: str
    approval: StepApprovalSpec


StageKind = Stage | Check | Question


def capacity_of(stage: Stage, target: Target, stable_replicas: int) -> int:
    """Replicas that the stage's track needs before it gets the stage's traffic; at least one (R5).

    :param stable_replicas: replicas of stable, whose capacity is the measure.
    :raises ValueError: when whole pods cannot make the weight.
    """
    if stage.track == "stable":  # rolling: its weight is a share of its own replicas
        return stable_replicas
    if stage.replicas:
        return stage.replicas
    percent = stage.weight or (stage.traffic.mirror if stage.traffic else 0)
    return capacity(target, stable_replicas, percent) if percent else 1


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
    return 0.0 if isinstance(chosen, RollingSpec) else chosen.retire_after


def stages(spec: ReleaseSpec) -> list[StageKind]:
    """All stages in production, in order; the last one is the bake."""
    chosen = spec.app.strategy.chosen
    if isinstance(chosen, CanarySpec):
        return _canary(spec, chosen)
    return _blue_green(spec, chosen) if isinstance(chosen, BlueGreenSpec) else _rolling(spec, chosen)


def _canary(spec: ReleaseSpec, canary: CanarySpec) -> list[StageKind]:
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


def _step(spec: ReleaseSpec, canary: CanarySpec, step: StepSpec, number: int) -> StageKind:
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
        if analysis.judge == "kayenta" and analysis.kayenta.baseline == "fresh":
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


def _blue_green(spec: ReleaseSpec, chosen: BlueGreenSpec) -> list[StageKind]:
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
    asked = StepApprovalSpec(timeout=chosen.promote_timeout)
    return [bake] if chosen.auto_promote else [Question(name="let_over", approval=asked), bake]


def _rolling(spec: ReleaseSpec, chosen: RollingSpec) -> list[StageKind]:
    def stage(name: str, share: int, hold: HoldSpec, *, last: bool = False) -> Stage:
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
