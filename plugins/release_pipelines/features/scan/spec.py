"""The key `scan` of an app's file."""

from typing import Annotated, ClassVar

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.choice import Choice
from release_pipelines.core.model.finding import Severity
from release_pipelines.core.ports.scanner import SCANNERS


class ScanSpec(Value):
    """What is scanned before anything is deployed."""

    later: ClassVar[frozenset[str]] = frozenset({"exclude"})

    scanners: list[Annotated[str, Choice(SCANNERS)]] = ["hadolint", "bandit"]
    block_on: Severity = Field("high", description="Findings from this severity on block")
    exclude: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="What is not scanned, by patterns as in `.gitignore`, seen from `build.context`",
    )
