"""The result of a deploying task."""

from pydantic import Field

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.track import Track


class Deployment(Stored):
    """The result of a deploying task, pushed to XCom."""

    environment: str
    platform: str
    track: Track
    digest: str
    version: str
    previous_digest: str | None = None
    previous_version: str | None = None
    previous_image: str | None = Field(None, description="Repository that it ran from; None: the app's own")
    first: bool = Field(False, description="Nothing ran before that could take the traffic back (R17): it is on stable")
    good: Artifact | None = Field(
        None, description="What a rollback of stable goes back to, as known before the change"
    )
    stable_replicas: int | None = Field(
        None, description="Replicas that stable had before the change: the measure of all capacity in this release"
    )
    changed: bool = True
