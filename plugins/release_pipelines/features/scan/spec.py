"""The key `scan` of an app's file."""

from typing import Annotated

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.choice import Choice
from release_pipelines.core.model.finding import Severity
from release_pipelines.core.ports.scanner import SCANNERS


class ScanSpec(Value):
    """What is scanned before anything is deployed."""

    scanners: list[Annotated[str, Choice(SCANNERS)]] = ["hadolint", "bandit"]
    block_on: Severity = Field("high", description="Findings from this severity on block")
