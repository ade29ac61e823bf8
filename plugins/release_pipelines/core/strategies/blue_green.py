"""Blue-green: the new version beside the old, then all traffic at once."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.hold import Hold, ten_minutes
from release_pipelines.core.model.stage import (
    OnDrift,
)
from release_pipelines.core.model.units import (
    Duration,
)


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
