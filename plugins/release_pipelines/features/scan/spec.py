"""The key `scan` of an app's file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from release_pipelines.core.model.base import Value


class ScanSpec(Value):
    """What is scanned before anything is deployed."""

    scanners: list[Literal["hadolint", "bandit"]] = ["hadolint", "bandit"]
    block_on: Literal["low", "medium", "high"] = Field("high", description="Findings from this severity on block")
