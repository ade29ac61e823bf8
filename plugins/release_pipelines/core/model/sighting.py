"""What was last seen to run of an app in an environment. All times are Unix times in seconds."""

from typing import Literal

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.units import Sentence

EVERY_SECONDS = 60.0
"""Time between two looks of the DAG ``release_observations``, in seconds."""

HealthState = Literal["ok", "over", "not_measured"]
DriftKind = Literal["version", "replicas", "traffic", "missing"]


class TrackSeen(Stored):
    """One track at the last look that succeeded."""

    track: Track
    digest: str | None = None
    version: Sentence | None = None
    image: str | None = None
    weight: int = Field(0, description="Percent of the traffic")
    ready: int = 0
    wanted: int = 0
    trouble: Sentence | None = Field(None, description="Why it is not ready")


class MetricSeen(Stored):
    """One metric of stable over the last minutes."""

    name: str
    label: str
    state: HealthState
    limit: float
    share: bool = Field(True, description="Whether value and limit are shares, like 0.01 for 1 %")
    value: float | None = None
    total: float | None = Field(None, description="Events that were counted; None: it is no count")
    sentence: Sentence


class Health(Stored):
    """How stable does by the app's own metrics."""

    state: HealthState
    at: float
    sentence: Sentence
    metrics: list[MetricSeen] = Field(default_factory=list)


class Drift(Stored):
    """Something that runs otherwise than the last good release left it."""

    kind: DriftKind
    since: float
    sentence: Sentence


class Sighting(Stored):
    """What was seen at the last look that succeeded, and what became of the looks since."""

    app: str
    environment: str
    looked_at: float
    observed_at: float | None = Field(None, description="The last look that succeeded; None: none has yet")
    failed_since: float | None = Field(
        None, description="The first of the looks that failed since then; None: the last one succeeded"
    )
    failure: Sentence | None = Field(None, description="Why the last look failed")
    every: float = Field(EVERY_SECONDS, description="Seconds between two looks, as whoever looks has said")

    digest: str | None = Field(None, description="What has all traffic; while it is split, what stable runs")
    version: Sentence | None = Field(None, description="None: nobody knows which version the digest is")
    since: float | None = Field(None, description="Since when it has all traffic; None: since before anybody looked")
    release: str | None = Field(None, description="Id of the release that brought it")
    previous_version: Sentence | None = Field(None, description="What had all traffic before")
    backward: bool = Field(False, description="That is newer than what runs now")

    tracks: list[TrackSeen] = Field(default_factory=list)
    holder: str | None = Field(None, description="Who holds the lease")
    held_until: float | None = None
    step: str | None = Field(None, description="Of the release that holds the lease")
    health: Health | None = None
    left_replicas: int | None = Field(
        None, description="That stable had when nobody but releases and autoscalers had scaled it"
    )
    of_file: bool = Field(False, description="An app file says that it goes there")
    drift_since: float | None = None
    drift: list[Drift] = Field(default_factory=list)

    def track(self, track: Track) -> TrackSeen:
        """The track; an empty one if nothing ran there."""
        return next((it for it in self.tracks if it.track == track), None) or TrackSeen(track=track)


class Served(Stored):
    """A digest that got all traffic of an environment, and the release by which it did, as the history has it."""

    release: str
    version: str
    digest: str
    at: float
    returned: bool = Field(False, description="It got it back, since that release failed with all traffic")
    judged: bool = Field(
        False, description="In stages: where they are passed, the last good version stands with the traffic"
    )
    before: str | None = Field(None, description="Digest that ran before, where the release has noted it")
