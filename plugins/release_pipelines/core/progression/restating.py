"""What a track was told to run is told again when somebody else changes it (R14), but not for ever."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.stage import OnDrift
from release_pipelines.core.progression.waiting import insist

log = logging.getLogger(__name__)

TIMES = 3
"""So often a version is stated again: whoever changes it back each time, like a GitOps controller, is stronger."""


class Restating:
    """Compares what a track shall run with what somebody has made of it.

    :param state: states the version on the track; called again each time.
    :param artifact: the version.
    :param on_drift: ``abort``: nothing is stated again.
    """

    def __init__(self, state: Callable[[], Awaitable[Any]], artifact: Artifact, on_drift: OnDrift = "reassert") -> None:
        self.state = state
        self.artifact = artifact
        self.on_drift: OnDrift = on_drift
        self.times = 0
        self.notes: list[str] = []
        """What was changed and stated again, in sentences."""

    def undone(self, status: TrackStatus) -> bool:
        """Whether something else is wanted on the track now."""
        return status.digest != self.artifact.digest

    async def again(self, status: TrackStatus) -> str | None:
        """State the version again; a sentence without its full stop when that is given up."""
        who, version = status.changed_by or "somebody", self.artifact.version
        sentence = f"{who} put {status.named} on {status.track}, where {version} was put"
        if self.on_drift == "abort":
            return sentence
        if self.times >= TIMES:
            return f"{sentence}, and did so again each of the {TIMES} times that {version} was set again"
        self.times += 1
        self.notes.append(f"Drift: {sentence}; set again.")
        log.warning(self.notes[-1])
        await insist(self.state)
        return None
