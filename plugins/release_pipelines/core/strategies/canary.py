"""Canary: rising weights, each judged."""

from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from release_pipelines.core.capacity import TOLERANCE, nearest_weight
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.hold import Hold, return_hold, ten_minutes
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.stage import (
    Check,
    OnDrift,
    Question,
    Stage,
    StageKind,
    StepApprovalSettings,
    VerifySettings,
)
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Match, Traffic, share_with
from release_pipelines.core.model.units import (
    Duration,
)
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.router import Router, router_of
from release_pipelines.core.ports.strategy import Promotion, StrategyPlace


class MatchSettings(Value):
    """Requests of testers: by a header or by a cookie with exactly this value."""

    header: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    cookie: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$")
    value: str = Field(pattern=r"^[A-Za-z0-9._-]+$")

    @model_validator(mode="after")
    def _one(self) -> "MatchSettings":
        if (self.header is None) == (self.cookie is None):
            raise ValueError("exactly one of `header` or `cookie` is expected")
        return self


class StepSettings(Value):
    """One step of a canary: exactly one of ``weight``, ``match``, ``mirror``, ``verify`` or ``approval``."""

    weight: int | None = Field(None, ge=1, le=99, description="Percent of the traffic; 100 is the bake")
    match: MatchSettings | None = Field(None, description="Only requests of testers go to the canary")
    mirror: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Percent of the requests that the canary gets a copy of; nobody sees its answers",
    )
    verify: VerifySettings | None = None
    approval: StepApprovalSettings | None = None
    hold: Hold | None = Field(None, description="How long the canary is watched; not for `verify` and `approval`")
    analysis: Analysis | None = Field(None, description="Default: the app's analysis")

    @property
    def kind(self) -> str:
        """Which of the five it is."""
        return next(it for it in ("weight", "match", "mirror", "verify", "approval") if getattr(self, it) is not None)

    @model_validator(mode="after")
    def _one_kind(self) -> "StepSettings":
        kinds = [self.weight, self.match, self.mirror, self.verify, self.approval]
        if sum(it is not None for it in kinds) != 1:
            raise ValueError("exactly one of `weight`, `match`, `mirror`, `verify` or `approval` is expected")
        if (self.hold is None) == (self.kind in ("weight", "match", "mirror")):
            raise ValueError("`hold` is expected with `weight`, `match` and `mirror`, and only there")
        return self


def _default_steps() -> list[StepSettings]:
    return [StepSettings(weight=weight, hold=Hold(min=300, max=300)) for weight in (5, 25, 50)]


class CanarySettings(Value):
    """Canary: rising weights, each judged; a bake at 100 %; then promotion (R18)."""

    steps: list[StepSettings] = Field(default_factory=_default_steps, min_length=1)
    bake: Hold = Field(
        default_factory=ten_minutes, description="How long the canary is watched at 100 % before it is promoted"
    )
    replicas: int | None = Field(None, ge=1, description="Fixed capacity of the canary; default: it follows the weight")
    affinity: bool = Field(False, description="A client stays with the track that answered it first (by a cookie)")
    return_weights: list[int] = Field(
        default_factory=lambda: [50], description="Canary weights on the way back to stable during promotion"
    )
    return_hold: Duration | None = Field(
        None,
        description="How long stable is watched, and judged beside the canary, after each of these weights and with all "
        "traffic; default: a quarter of the bake, at most 15s",
    )
    retire_after: Duration = Field(30, description="The old track keeps running so long after it lost its traffic")
    auto_rollback: bool = Field(True, description="false: a failing verdict returns traffic and waits for a person")
    on_drift: OnDrift = "reassert"

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: list[StepSettings]) -> list[StepSettings]:
        weights = [step.weight for step in steps if step.weight]
        if weights != sorted(set(weights)):
            raise ValueError(f"rising weights are expected, found {weights}")
        first = next((n for n, step in enumerate(steps) if step.weight), len(steps))
        if any(step.match or step.mirror for step in steps[first:]):
            raise ValueError("`match` and `mirror` are expected before the first weight")
        if steps[0].kind in ("verify", "approval"):
            raise ValueError(f"a step with traffic is expected first, found `{steps[0].kind}`")
        return steps


class Canary:
    """A few replicas beside the old ones, whose traffic moves in steps."""

    model = CanarySettings
    track: Track = "canary"

    def stages(self, settings: CanarySettings, analysis: Analysis, paths: list[str]) -> list[StageKind]:
        steps = [_stage(settings, step, number, analysis) for number, step in enumerate(settings.steps, 1)]
        bake = Stage(
            name="bake",
            track="canary",
            traffic=share_with("canary", 100, sticky=settings.affinity),
            hold=settings.bake,
            analysis=analysis,
            on_drift=settings.on_drift,
            wait_for_person=not settings.auto_rollback,
            last=True,
            paths=paths,
        )
        return [*steps, bake]

    def with_analyses(self, settings: CanarySettings, change: Callable[[Analysis], Analysis]) -> CanarySettings:
        steps = [
            step.model_copy(update={"analysis": change(step.analysis)}) if step.analysis else step
            for step in settings.steps
        ]
        return settings.model_copy(update={"steps": steps})

    def judged(
        self, where: str, settings: CanarySettings, analysis: Analysis
    ) -> Iterator[tuple[str | None, Analysis, Hold]]:
        yield None, analysis, settings.bake
        for n, step in enumerate(settings.steps):
            if step.hold:
                here = f"{where}.steps[{n}].analysis" if step.analysis else None
                yield here, step.analysis or analysis, step.hold

    def mistakes(
        self, where: str, settings: CanarySettings, place: StrategyPlace, analysis: Analysis
    ) -> Iterator[Mistake]:
        name, router = place.router.kind, router_of(place.router)
        weights = settings.return_weights
        if any(not 1 <= weight <= 99 for weight in weights) or weights != sorted(set(weights), reverse=True):
            yield f"{where}.return_weights", str(weights), "falling weights from 99 to 1 (0 comes last by itself)"
        if settings.affinity and "affinity" not in router.capabilities:
            yield f"{where}.affinity", "true", f"false: router `{name}` cannot keep a client on its track"
        for n, step in enumerate(settings.steps):
            yield from _step_mistakes(f"{where}.steps[{n}]", step, name, router, analysis)
        if router.pods_make_weight:
            yield from _pod_mistakes(where, settings, place)

    def promotion(self, settings: CanarySettings) -> Promotion:
        return Promotion(
            settings.return_weights,
            retire_after=settings.retire_after,
            return_hold=return_hold(settings.return_hold, settings.bake),
            on_drift=settings.on_drift,
        )

    def adapt(self, settings: CanarySettings, target: Target) -> Target:
        return target


def _step_mistakes(where: str, step: StepSettings, name: str, router: Router, analysis: Analysis) -> Iterator[Mistake]:
    for kind in ("match", "mirror"):
        if getattr(step, kind) is not None and kind not in router.capabilities:
            yield (
                f"{where}.{kind}",
                f"`{kind}` with router `{name}`",
                "a step with a weight: that router cannot do it",
            )
    if step.mirror is not None and step.mirror not in router.mirror_percentages:
        possible = " or ".join(str(it) for it in router.mirror_percentages)
        every = "all requests or none" if possible == "100" else "no other share of the requests"
        yield f"{where}.mirror", str(step.mirror), f"{possible}: router `{name}` mirrors {every}"
    own = step.analysis or analysis
    if step.weight and JUDGES.get(own.judge).wants_baseline(own):
        if "baseline" not in router.capabilities:
            yield (
                f"{where}.analysis",
                "`baseline: fresh`",
                f"`stable`: router `{name}` has one track beside stable",
            )
        elif step.weight > 50:
            yield f"{where}.weight", str(step.weight), "50 or less: a fresh baseline gets as much as the canary"


def _pod_mistakes(where: str, settings: CanarySettings, place: StrategyPlace) -> Iterator[Mistake]:
    """Without a mesh a weight is a number of pods: it must be one that whole pods can make."""
    name, stable = place.router.kind, place.replicas
    if settings.replicas:
        yield f"{where}.replicas", str(settings.replicas), f"none: with router `{name}` the weights decide"
    for n, step in enumerate(settings.steps):
        nearest = nearest_weight(stable, step.weight) if step.weight else None
        if step.weight and nearest and abs(nearest - step.weight) > TOLERANCE:
            yield (
                f"{where}.steps[{n}].weight",
                str(step.weight),
                f"a weight that whole pods beside {stable} stable ones make (router `{name}`), like {nearest:.3g}",
            )


def _stage(settings: CanarySettings, step: StepSettings, number: int, default: Analysis) -> StageKind:
    if step.verify:
        return Check(name=f"verify_{number}", verify=step.verify)
    if step.approval:
        return Question(name=f"approval_{number}", approval=step.approval)
    assert step.hold is not None  # noqa: S101 - the specification has seen to it
    analysis = step.analysis or default
    if step.match:
        kind: Literal["header", "cookie"] = "header" if step.match.header else "cookie"
        testers = Match(kind=kind, name=step.match.header or step.match.cookie or "", value=step.match.value)
        name, traffic = f"testers_{number}", share_with("canary", 0, testers=testers)
    elif step.mirror:
        name, traffic = f"mirror_{number}", share_with("canary", 0, mirror=step.mirror)
    else:
        weight = step.weight or 0
        name, traffic = f"step_{weight}", share_with("canary", weight, sticky=settings.affinity)
        if JUDGES.get(analysis.judge).wants_baseline(analysis):
            weights: dict[Track, int] = {"stable": 100 - 2 * weight, "canary": weight, "baseline": weight}
            traffic = Traffic(weights=weights, sticky=settings.affinity)
    return Stage(
        name=name,
        track="canary",
        traffic=traffic,
        replicas=settings.replicas,
        hold=step.hold,
        analysis=analysis,
        on_drift=settings.on_drift,
        wait_for_person=not settings.auto_rollback,
    )


STRATEGY = Canary()
