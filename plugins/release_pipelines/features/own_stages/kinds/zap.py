"""ZAP's baseline scan of the running app, in ZAP's own image."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.finding import Severity
from release_pipelines.core.ports.own_stage import OwnStage


class ZapOptions(Value):
    """What is scanned, by which image, and what is too bad."""

    image: str = Field(
        min_length=1,
        description="ZAP's image: `name:tag` in the environment's registry, or with another registry's host before it",
    )
    path: str = Field("/", pattern=r"^/", description="Where the scan begins")
    minutes: int = Field(1, ge=1, le=60, description="So long it looks for pages")
    block_on: Severity = Field("high", description="high: rules that fail; medium: those that warn, too")
    accept: list[str] = Field(
        default_factory=list, description="Rules that do not count here, like `zap-10020`; they are told all the same"
    )


class Zap(OwnStage):
    """``zap: {image: zaproxy:2.16}``."""

    options = ZapOptions

    def texts(self, options: ZapOptions) -> Iterator[str]:
        yield from (options.image, options.path)

    def operator(self, task_id: str, options: ZapOptions, given: Mapping[str, Any]) -> Any:
        from release_pipelines.features.own_stages.operators.looking import ZapStageOperator

        return ZapStageOperator(task_id=task_id, options=options, **given)


OWN_STAGE = Zap()
