"""The key `approval` of an app's file."""

from __future__ import annotations

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.units import (
    Duration,
)


class ApprovalSpec(Value):
    """Who may let a release into production, and how long it waits for them (R10)."""

    timeout: Duration = Field(86400, gt=0)
    self_approval: bool = Field(False, description="true: whoever started the release may approve it")
