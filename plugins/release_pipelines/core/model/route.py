"""The route: the current traffic split, and the note that a release keeps with it."""

from typing import Any, ClassVar, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.model.verdict import Verdict

S = TypeVar("S", bound=Stored)
NOT_TAKEN = "not_taken"
"""The step of a promotion that has ended because stable did not take the version: a healthy track beside it keeps the traffic."""


NOTE_VERSION = 2
"""Version of what keys of a note mean; one that only has more of them keeps it."""


class RouteNote(Stored):
    """The state of a release, kept with its traffic, so that it can be seen from outside and any restart goes on from it (R6)."""

    aside: ClassVar[frozenset[str]] = frozenset({"weight"})
    later: ClassVar[frozenset[str]] = frozenset({"closed_at"})

    schema_version: int = NOTE_VERSION
    release: str | None = None
    step: str | None = None
    traffic: Traffic | None = Field(None, description="What the release wants: another split in the route is drift")
    started_at: float | None = Field(None, description="Unix time at which this step's traffic was accepted: its clock")
    served_since: float | None = Field(None, description="Unix time at which the release's first step got its traffic")
    paused_at: float | None = Field(None, description="Unix time since which the step's clock stands still")
    closed_at: float | None = Field(None, description="Unix time since which its window is closed, where it heeds that")
    paused_for: float = Field(0, description="Seconds of pauses that have ended")
    verdict: Verdict | None = None
    evidence: dict[str, Any] = Field(
        default_factory=dict, description="What the sequential tests know from the steps before, by metric"
    )
    last_good: Artifact | None = Field(None, description="Newest artifact that was promoted and held")
    done: bool = False

    @field_validator("schema_version")
    @classmethod
    def _known_version(cls, version: int) -> int:
        if version > NOTE_VERSION:
            raise ValueError(f"at most {NOTE_VERSION} is expected, found {version}")
        return version

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

    @property
    def changed_at(self) -> float:
        """Unix time of the last change of the traffic that is noted, in seconds; 0 where none is."""
        return max(self.started_at or 0.0, self.verdict.decided_at if self.verdict else 0.0)

    def of(self, app: str) -> "RouteNote":
        """The note as one of this app: a last good version that names another app is none."""
        if self.last_good is None or self.last_good.app == app:
            return self
        return self.model_copy(update={"last_good": None})

    def followed_by(self, **stated: Any) -> "RouteNote":
        """The note of what comes after this one. It keeps the last good version, and what another version of the package has noted."""
        return RouteNote(**{"last_good": self.last_good, **stated}).with_unknown(self.unknown)


class Route(Stored):
    """The current traffic split with its note, read from the router itself."""

    traffic: Traffic
    fence: int = 0
    note: RouteNote = Field(default_factory=RouteNote)
    changed_by: str | None = Field(None, description="Who wrote the route last, when it was not this package")


def read_stored(model: type[S], text: str, what: str) -> S:
    """A value of what is kept with a route. What cannot be read is never taken for nothing: it may say that a version has failed.

    :param what: what it is and where it stands, for the sentence.
    :raises PlatformError: when it cannot be read.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PlatformError(
            f"{what} cannot be read ({f'{where}: ' if where else ''}{first['msg']}), so nothing is moved: another version of "
            "this package may have written it. That version is expected, or a person who looks at the traffic and removes it."
        ) from None
