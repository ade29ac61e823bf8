"""Load on the running app, judged against its limits and against the last good release."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.units import Duration, Inside, Limit
from release_pipelines.core.ports.own_stage import OwnStage, OwnStagePlace

if TYPE_CHECKING:
    from release_pipelines.core.model.mistake import Mistake


class PerformanceOptions(Value):
    """Requests at a rate, by k6."""

    paths: list[Annotated[str, Field(pattern=r"^/")]] = Field(
        default_factory=lambda: ["/"], min_length=1, description="Asked in turn"
    )
    rate: int = Field(10, ge=1, le=10_000, description="Requests a second")
    duration: Duration = Field(30, gt=0)
    clients: int = Field(20, ge=1, le=5_000, description="So many requests wait for their answers at most")
    slower_than: Duration = Field(0.5, gt=0, description="A request that takes longer is slow")
    errors: Limit = Field(0.01, ge=0, le=1, description="Highest share of requests that may fail")
    slow: Limit = Field(0.01, ge=0, le=1, description="Highest share of requests that may be slow")
    min_requests: int = Field(100, ge=1, description="With fewer it is not measured")
    tolerance: float = Field(
        1.05, ge=1, description="The odds of a bad request may be so many times those of the last good release"
    )
    script: Inside | None = Field(
        None,
        description="A script of your own in place of `paths`, `rate` and `clients`: a file in `include/load`. It finds "
        "BASE_URL, HOST and VERSION in `__ENV`, and may count slow requests in a Rate `slow_requests`",
    )
    track: Literal["stable", "preview"] = Field(
        "stable", description="preview: that of a blue-green release, by its own host"
    )


class Performance(OwnStage):
    """``performance: {paths: [/, /cart], rate: 50, duration: 1m}``."""

    options = PerformanceOptions

    def mistakes(self, where: str, options: PerformanceOptions, place: OwnStagePlace) -> Iterable["Mistake"]:
        if options.track == "preview" and not place.last:
            yield f"{where}.track", "`preview`", "`stable`: only the last environment has a preview"

    def texts(self, options: PerformanceOptions) -> Iterator[str]:
        yield from options.paths

    def operator(self, task_id: str, options: PerformanceOptions, given: Mapping[str, Any]) -> Any:
        from release_pipelines.features.own_stages.operators.performance import PerformanceStageOperator

        return PerformanceStageOperator(task_id=task_id, options=options, **given)


OWN_STAGE = Performance()
