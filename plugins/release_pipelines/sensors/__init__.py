"""Sensors that wait for what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines._lazy import lazy

if TYPE_CHECKING:
    from release_pipelines.features.build.sensors import ImageReplicatedSensor as ImageReplicatedSensor
    from release_pipelines.features.calendars.sensors import ReleaseWindowSensor as ReleaseWindowSensor
    from release_pipelines.features.deployment.sensors import RolloutSensor as RolloutSensor

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "features.build.sensors": ("ImageReplicatedSensor",),
        "features.calendars.sensors": ("ReleaseWindowSensor",),
        "features.deployment.sensors": ("RolloutSensor",),
    },
)
