"""How a workload's tracks are called in the labels of metrics."""

from __future__ import annotations

from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track


def track_service(target: Target, track: Track) -> str:
    """The Service of a track on Kubernetes; stable has the workload's own."""
    name = target.workload.name or target.app
    return name if track == "stable" else f"{name}-{track}"
