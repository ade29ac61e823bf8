"""A train: several apps, released in waves."""

import hashlib
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import Stored

Compensate = Literal["all", "wave", "none"]
"""What a train takes back that stops: all that it released, what it released in the wave in which it stopped, or nothing."""
WhenHeld = Literal["wait", "stop"]
"""What a train does with an app that another release holds."""
AppResult = Literal[
    "skipped",
    "not_started",
    "running",
    "no_op",
    "released",
    "failed",
    "taken_back",
    "moved_on",
    "stays",
    "not_taken_back",
]
"""What became of an app in a train."""

IN_WORDS: dict[AppResult, str] = {
    "skipped": "skipped",
    "not_started": "not started",
    "running": "still running",
    "no_op": "nothing to do",
    "released": "released",
    "failed": "not released",
    "taken_back": "taken back",
    "moved_on": "moved on",
    "stays": "stays, because of what needs it",
    "not_taken_back": "failed to go back",
}
GOOD: tuple[AppResult, ...] = ("released", "no_op", "skipped")
"""What becomes of apps in a train that held."""
ON_NEW: tuple[AppResult, ...] = ("released", "running", "moved_on", "stays", "not_taken_back")
"""What leaves the app's new version, or a newer one, where it needs what it needs."""


class TrainApp(Stored):
    """One app of a train: what it is to run, what it ran before, and what became of it."""

    app: str
    environment: str
    wave: int = Field(ge=1)
    position: int = Field(0, ge=0, description="Its place in the train's file")
    version: str | None = None
    digest: str | None = Field(None, description="Fixed before the approval")
    image: str | None = None
    before_version: str | None = None
    before_digest: str | None = Field(None, description="What it ran before the train; None: nothing")
    result: AppResult = "not_started"
    sentence: str = ""
    run_id: str | None = Field(None, description="The run of the app's own DAG that is this train's")
    held_at: float | None = Field(None, description="When its release held, as Unix time in seconds; None: it did not")
    approver: str | None = None
    approver_id: str | None = None
    approved_at: float | None = None

    @property
    def goes(self) -> bool:
        """Whether the train changes it."""
        return self.result not in ("skipped", "no_op")

    @property
    def named(self) -> str:
        """Like ``cart 2.1.0``."""
        return f"{self.app} {self.version}" if self.version else self.app

    def artifact(self) -> Artifact | None:
        """What is released; None where the app is left out."""
        if self.version is None or self.digest is None or self.image is None:
            return None
        return Artifact(app=self.app, version=self.version, image=self.image, digest=self.digest)


def digest_of(apps: Iterable[TrainApp]) -> str:
    """One digest for all that goes with a train: an answer to its form is bound to it."""
    named = "".join(sorted(f"{it.app}={it.digest};" for it in apps if it.goes))
    return f"sha256:{hashlib.sha256(named.encode()).hexdigest()}"
