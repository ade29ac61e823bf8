"""Whether people with a screen reader, or without a mouse, can use the running app: axe in a browser on the worker."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.finding import Severity
from release_pipelines.core.ports.own_stage import OwnStage


class AccessibilityOptions(Value):
    """Which pages are looked at, and what is too bad."""

    paths: list[Annotated[str, Field(pattern=r"^/")]] = Field(default_factory=lambda: ["/"], min_length=1)
    block_on: Severity = Field(
        "high", description="Impacts: minor is low, moderate medium, serious high, critical critical"
    )
    accept: list[str] = Field(
        default_factory=list,
        description="Rules that do not count here, like `color-contrast`; they are told all the same",
    )


class Accessibility(OwnStage):
    """``accessibility: {paths: [/, /cart]}``."""

    options = AccessibilityOptions

    def texts(self, options: AccessibilityOptions) -> Iterator[str]:
        yield from options.paths

    def operator(self, task_id: str, options: AccessibilityOptions, given: Mapping[str, Any]) -> Any:
        from release_pipelines.features.own_stages.operators.looking import AccessibilityStageOperator

        return AccessibilityStageOperator(task_id=task_id, options=options, **given)


OWN_STAGE = Accessibility()
