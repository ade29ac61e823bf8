"""What the history keeps of pushes. All times are Unix times in seconds."""

from typing import Any, Literal

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.pushes.meaning import Start

State = Literal["waiting", "starting", "started", "ignored", "refused"]
"""Of a start: it waits, its run was asked for, its run is there, it will have none, it may have none (R1)."""


class Delivery(Stored):
    """What a forge or a registry sent for an app."""

    id: int
    app: str
    source: str = Field(description="Which header or form it had: github, gitlab or registry")
    name: str | None = Field(None, description="Its id at who sent it")
    at: float
    told: list[Any] = Field(default_factory=list, description="Pushes, and sentences about what is none")
    judged_at: float | None = Field(None, description="None: nobody has looked yet what it means")
    sentence: str | None = Field(None, description="What it came to")


class KeptStart(Stored):
    """A release that a push asks for."""

    id: int
    app: str
    environment: str
    subject: str
    version: str
    commit: str | None = None
    digest: str | None = None
    tag: str | None = None
    by: str | None = None
    source: str = ""
    at: float
    state: State
    sentence: str | None = None
    changed_at: float

    @property
    def start(self) -> Start:
        """The same, to decide about."""
        return Start(
            self.app, self.version, self.subject, self.commit, self.digest, self.by, self.tag, self.source
        )  # fmt: skip

    @property
    def run_id(self) -> str | None:
        """The id of its run; None: it has none."""
        return self.start.run_id if self.state in ("starting", "started") else None
