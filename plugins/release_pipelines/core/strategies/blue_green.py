"""Blue-green: the new version beside the old, then all traffic at once."""

from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import Field

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.hold import Hold, return_hold, ten_minutes
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.stage import OnDrift, Question, Stage, StageKind, StepApprovalSettings
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import share_with
from release_pipelines.core.model.units import (
    Duration,
)
from release_pipelines.core.ports.platform import PLATFORMS
from release_pipelines.core.ports.router import ROUTERS
from release_pipelines.core.ports.strategy import Promotion, StrategyPlace


class BlueGreenSettings(Value):
    """Blue-green: the new version beside the old as `preview`, checked there, then all traffic at once."""

    switch: Literal["route", "selector"] = Field(
        "route", description="What moves the traffic: the environment's router, or (Kubernetes) the Service's selector"
    )
    auto_promote: bool = Field(
        True, description="false: a person lets the traffic over after the checks of the preview"
    )
    promote_timeout: Duration = Field(3600, gt=0, description="How long that person is waited for")
    bake: Hold = Field(default_factory=ten_minutes, description="How long the new version is watched with all traffic")
    retire_after: Duration = Field(30, description="The old version keeps running so long after the bake")
    auto_rollback: bool = Field(True, description="false: a failing verdict returns traffic and waits for a person")
    on_drift: OnDrift = "reassert"


class BlueGreen:
    """All replicas beside the old ones, asked at an address of their own before they get all traffic at once."""

    model = BlueGreenSettings
    track: Track = "preview"

    def stages(self, settings: BlueGreenSettings, analysis: Analysis, paths: list[str]) -> list[StageKind]:
        bake = Stage(
            name="bake",
            track="preview",
            traffic=share_with("preview", 100),
            hold=settings.bake,
            analysis=analysis,
            on_drift=settings.on_drift,
            wait_for_person=not settings.auto_rollback,
            last=True,
            paths=paths,
        )
        question = Question(name="let_over", approval=StepApprovalSettings(timeout=settings.promote_timeout))
        return [bake] if settings.auto_promote else [question, bake]

    def with_analyses(self, settings: BlueGreenSettings, change: Callable[[Analysis], Analysis]) -> BlueGreenSettings:
        return settings

    def judged(
        self, where: str, settings: BlueGreenSettings, analysis: Analysis
    ) -> Iterator[tuple[str | None, Analysis, Hold]]:
        yield None, analysis, settings.bake

    def mistakes(
        self, where: str, settings: BlueGreenSettings, place: StrategyPlace, analysis: Analysis
    ) -> Iterator[Mistake]:
        platform = PLATFORMS.get(place.platform)
        if settings.switch == "selector" and not platform.fits(ROUTERS.get("replicas")):
            yield (
                f"{where}.switch",
                f"`selector` on {place.platform}",
                "`route`: only Kubernetes has Services with selectors",
            )
        if platform.preview_needs_host and not place.has_host:
            yield (
                where,
                f"no `address.host` in {place.environment}.yaml",
                "`address.host` or `address.preview` there: the preview needs an address of its own",
            )

    def promotion(self, settings: BlueGreenSettings) -> Promotion:
        return Promotion(
            keep_old=settings.retire_after,
            retire_after=settings.retire_after,
            return_hold=return_hold(None, settings.bake),
            on_drift=settings.on_drift,
        )

    def adapt(self, settings: BlueGreenSettings, target: Target) -> Target:
        router = target.router
        if settings.switch == "selector":
            router = router.model_copy(update={"kind": "replicas"})
        return target.model_copy(update={"router": router, "preview": True})


STRATEGY = BlueGreen()
