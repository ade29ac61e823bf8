"""How a new version takes over: canary, blue-green or rolling."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic_core import CoreSchema

from release_pipelines.spec.analysis import AnalysisSpec
from release_pipelines.spec.base import Duration, Spec, parse_duration

OnDrift = Literal["reassert", "abort"]


class HoldSpec(Spec):
    """How long something is watched: at least ``min``, at most ``max`` seconds. One duration stands for both."""

    min: Duration
    max: Duration

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """An editor takes the one duration, too."""
        both = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [both, {"type": "string"}, {"type": "number"}], "description": both.get("description", "")}

    @model_validator(mode="before")
    @classmethod
    def _one_duration(cls, value: Any) -> Any:
        if isinstance(value, (dict, cls)):
            return value
        seconds = parse_duration(value)
        if seconds == 0:
            raise ValueError("a duration above 0 is expected")
        return {"min": seconds, "max": seconds}

    @model_validator(mode="after")
    def _ordered(self) -> HoldSpec:
        if not 0 < self.max >= self.min:
            raise ValueError("a `max` above 0 that is not less than `min` is expected")
        return self


class MatchSpec(Spec):
    """Requests of testers: by a header or by a cookie with exactly this value."""

    header: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9-]*$")
    cookie: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$")
    value: str = Field(pattern=r"^[A-Za-z0-9._-]+$")

    @model_validator(mode="after")
    def _one(self) -> MatchSpec:
        if (self.header is None) == (self.cookie is None):
            raise ValueError("exactly one of `header` or `cookie` is expected")
        return self


class VerifySpec(Spec):
    """A check of the team's own: a command that ends with 0."""

    image: str | None = Field(None, description="Default: the image that is released")
    command: list[str] = Field(min_length=1)
    timeout: Duration = Field(600, gt=0)


class StepApprovalSpec(Spec):
    """A person in the middle of the steps."""

    timeout: Duration = Field(3600, gt=0)


class StepSpec(Spec):
    """One step of a canary: exactly one of ``weight``, ``match``, ``mirror``, ``verify`` or ``approval``."""

    weight: int | None = Field(None, ge=1, le=99, description="Percent of the traffic; 100 is the bake")
    match: MatchSpec | None = Field(None, description="Only requests of testers go to the canary")
    mirror: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Percent of the requests that the canary gets a copy of; nobody sees its answers",
    )
    verify: VerifySpec | None = None
    approval: StepApprovalSpec | None = None
    hold: HoldSpec | None = Field(None, description="How long the canary is watched; not for `verify` and `approval`")
    analysis: AnalysisSpec | None = Field(None, description="Default: the app's analysis")

    @property
    def kind(self) -> str:
        """Which of the five it is."""
        return next(it for it in ("weight", "match", "mirror", "verify", "approval") if getattr(self, it) is not None)

    @model_validator(mode="after")
    def _one_kind(self) -> StepSpec:
        kinds = [self.weight, self.match, self.mirror, self.verify, self.approval]
        if sum(it is not None for it in kinds) != 1:
            raise ValueError("exactly one of `weight`, `match`, `mirror`, `verify` or `approval` is expected")
        if (self.hold is None) == (self.kind in ("weight", "match", "mirror")):
            raise ValueError("`hold` is expected with `weight`, `match` and `mirror`, and only there")
        return self


def _default_steps() -> list[StepSpec]:
    return [StepSpec(weight=weight, hold=HoldSpec(min=300, max=300)) for weight in (5, 25, 50)]


def _ten_minutes() -> HoldSpec:
    return HoldSpec(min=600, max=600)


class CanarySpec(Spec):
    """Canary: rising weights, each judged; a bake at 100 %; then promotion (R18)."""

    steps: list[StepSpec] = Field(default_factory=_default_steps, min_length=1)
    bake: HoldSpec = Field(
        default_factory=_ten_minutes, description="How long the canary is watched at 100 % before it is promoted"
    )
    replicas: int | None = Field(None, ge=1, description="Fixed capacity of the canary; default: it follows the weight")
    affinity: bool = Field(False, description="A client stays with the track that answered it first (by a cookie)")
    return_weights: list[int] = Field(
        default_factory=lambda: [50], description="Canary weights on the way back to stable during promotion"
    )
    retire_after: Duration = Field(30, description="The old track keeps running so long after it lost its traffic")
    auto_rollback: bool = Field(True, description="false: a failing verdict returns traffic and waits for a person")
    on_drift: OnDrift = "reassert"

    @field_validator("steps")
    @classmethod
    def _in_order(cls, steps: list[StepSpec]) -> list[StepSpec]:
        weights = [step.weight for step in steps if step.weight]
        if weights != sorted(set(weights)):
            raise ValueError(f"rising weights are expected, found {weights}")
        first = next((n for n, step in enumerate(steps) if step.weight), len(steps))
        if any(step.match or step.mirror for step in steps[first:]):
            raise ValueError("`match` and `mirror` are expected before the first weight")
        if steps[0].kind in ("verify", "approval"):
            raise ValueError(f"a step with traffic is expected first, found `{steps[0].kind}`")
        return steps


class BlueGreenSpec(Spec):
    """Blue-green: the new version beside the old as `preview`, checked there, then all traffic at once."""

    switch: Literal["route", "selector"] = Field(
        "route", description="What moves the traffic: the environment's router, or (Kubernetes) the Service's selector"
    )
    auto_promote: bool = Field(
        True, description="false: a person lets the traffic over after the checks of the preview"
    )
    promote_timeout: Duration = Field(3600, gt=0, description="How long that person is waited for")
    bake: HoldSpec = Field(
        default_factory=_ten_minutes, description="How long the new version is watched with all traffic"
    )
    retire_after: Duration = Field(30, description="The old version keeps running so long after the bake")
    auto_rollback: bool = Field(True, description="false: a failing verdict returns traffic and waits for a person")
    on_drift: OnDrift = "reassert"


class RollingSpec(Spec):
    """Rolling: replica by replica, with a look between batches if wanted."""

    max_surge: int | str = Field("25%", description="So many replicas more than wanted, or a share like 25%")
    max_unavailable: int | str = Field(0, description="So many replicas fewer than wanted, or a share like 25%")
    batches: list[int] = Field(
        default_factory=list, description="Percent of the replicas after which the rollout stops and is judged, rising"
    )
    hold: HoldSpec = Field(
        default_factory=lambda: HoldSpec(min=60, max=60), description="How long it is watched after each batch"
    )
    bake: HoldSpec = Field(
        default_factory=_ten_minutes, description="How long it is watched when all replicas are replaced"
    )
    auto_rollback: bool = Field(True, description="false: a failing verdict stops the rollout and waits for a person")

    @field_validator("max_surge", "max_unavailable")
    @classmethod
    def _count_or_share(cls, value: int | str) -> int | str:
        share = isinstance(value, str) and value.endswith("%") and value[:-1].isdecimal() and int(value[:-1]) <= 100
        if not share and not (isinstance(value, int) and value >= 0):
            raise ValueError("a number of replicas or a share like 25% is expected")
        return value

    @field_validator("batches")
    @classmethod
    def _rising(cls, batches: list[int]) -> list[int]:
        if batches != sorted(set(batches)) or any(not 1 <= it <= 99 for it in batches):
            raise ValueError(f"rising percentages from 1 to 99 are expected, found {batches}")
        return batches

    @model_validator(mode="after")
    def _moves(self) -> RollingSpec:
        if self.max_surge in (0, "0%") and self.max_unavailable in (0, "0%"):
            raise ValueError("`max_surge` or `max_unavailable` above 0 is expected")
        return self


class StrategySpec(Spec):
    """How the new version takes over. One key names the strategy."""

    canary: CanarySpec | None = None
    blue_green: BlueGreenSpec | None = None
    rolling: RollingSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_is_enough(cls, value: Any) -> Any:
        if value == {}:
            return {"canary": {}}
        if isinstance(value, str) and value in cls.model_fields:
            return {value: {}}
        if isinstance(value, dict) and len(value) == 1:  # `rolling:` with nothing behind it
            return {key: {} if own is None else own for key, own in value.items()}
        return value

    @model_validator(mode="after")
    def _one(self) -> StrategySpec:
        if sum(it is not None for it in (self.canary, self.blue_green, self.rolling)) != 1:
            raise ValueError("exactly one of `canary`, `blue_green` or `rolling` is expected")
        return self

    @property
    def chosen(self) -> CanarySpec | BlueGreenSpec | RollingSpec:
        """The one that is given."""
        chosen = self.canary or self.blue_green or self.rolling
        assert chosen is not None  # noqa: S101 - _one has seen to it
        return chosen
