"""Rolling: replica by replica."""

from collections.abc import Callable, Iterator

from pydantic import Field, field_validator, model_validator

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.hold import Hold, ten_minutes
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.stage import Stage, StageKind
from release_pipelines.core.model.target import Target, Update
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.strategy import Promotion, StrategyPlace


class RollingSettings(Value):
    """Rolling: replica by replica, with a look between batches if wanted."""

    max_surge: int | str = Field("25%", description="So many replicas more than wanted, or a share like 25%")
    max_unavailable: int | str = Field(0, description="So many replicas fewer than wanted, or a share like 25%")
    batches: list[int] = Field(
        default_factory=list, description="Percent of the replicas after which the rollout stops and is judged, rising"
    )
    hold: Hold = Field(
        default_factory=lambda: Hold(min=60, max=60), description="How long it is watched after each batch"
    )
    bake: Hold = Field(default_factory=ten_minutes, description="How long it is watched when all replicas are replaced")
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
    def _moves(self) -> "RollingSettings":
        if self.max_surge in (0, "0%") and self.max_unavailable in (0, "0%"):
            raise ValueError("`max_surge` or `max_unavailable` above 0 is expected")
        return self


class Rolling:
    """In place of the old replicas, batch by batch."""

    model = RollingSettings
    track: Track = "stable"

    def stages(self, settings: RollingSettings, analysis: Analysis, paths: list[str]) -> list[StageKind]:
        def stage(name: str, share: int, hold: Hold, *, last: bool = False) -> Stage:
            return Stage(
                name=name,
                track="stable",
                share=share,
                hold=hold,
                analysis=analysis,
                wait_for_person=not settings.auto_rollback,
                last=last,
            )

        batches = [stage(f"batch_{share}", share, settings.hold) for share in settings.batches]
        return [*batches, stage("bake", 100, settings.bake, last=True)]

    def with_analyses(self, settings: RollingSettings, change: Callable[[Analysis], Analysis]) -> RollingSettings:
        return settings

    def judged(
        self, where: str, settings: RollingSettings, analysis: Analysis
    ) -> Iterator[tuple[str | None, Analysis, Hold]]:
        yield None, analysis, settings.bake
        if settings.batches:
            yield None, analysis, settings.hold

    def mistakes(
        self, where: str, settings: RollingSettings, place: StrategyPlace, analysis: Analysis
    ) -> Iterator[Mistake]:
        """Replicas are replaced in place on every platform."""
        return iter(())

    def promotion(self, settings: RollingSettings) -> Promotion:
        """No track beside stable is left: there is nothing to do but to say so."""
        return Promotion()

    def adapt(self, settings: RollingSettings, target: Target) -> Target:
        update = Update(max_surge=settings.max_surge, max_unavailable=settings.max_unavailable)
        return target.model_copy(update={"update": update})


STRATEGY = Rolling()
