"""The route: the current traffic split, and the note that a release keeps with it."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.model.verdict import Verdict


class RouteNote(Value):
    """The state of a release, kept with its traffic, so that it can be seen from outside and any restart goes on from it (R6)."""

    schema_version: int = 2
    release: str | None = None
    step: str | None = None
    traffic: Traffic | None = Field(None, description="What the release wants: another split in the route is drift")
    started_at: float | None = Field(None, description="Unix time at which this step's traffic was accepted: its clock")
    paused_at: float | None = Field(None, description="Unix time since which a person has stopped the step's clock")
    paused_for: float = Field(0, description="Seconds of pauses that have ended")
    verdict: Verdict | None = None
    evidence: dict[str, Any] = Field(
        default_factory=dict, description="What the sequential tests know from the steps before, by metric"
    )
    last_good: Artifact | None = Field(None, description="Newest artifact that was promoted and held")
    done: bool = False

    @model_validator(mode="before")
    @classmethod
    def _version_1(cls, data: Any) -> Any:
        """Notes of version 1 knew a canary's weight only."""
        if isinstance(data, dict) and "weight" in data:
            weight = data["weight"]
            data = {key: value for key, value in data.items() if key not in ("weight", "schema_version")}
            if weight is not None:
                data["traffic"] = {"weights": {"stable": 100 - weight, "canary": weight}}
        return data


class Route(Value):
    """The current traffic split with its note, read from the router itself."""

    traffic: Traffic
    fence: int = 0
    note: RouteNote = Field(default_factory=RouteNote)
    changed_by: str | None = Field(None, description="Who wrote the route last, when it was not this package")
