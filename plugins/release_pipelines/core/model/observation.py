"""One observation of an app in an environment."""

from typing import ClassVar

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.units import Sentence


class TrackStatus(Stored):
    """What runs on one track."""

    later: ClassVar[frozenset[str]] = frozenset({"scaled_by"})

    track: Track
    digest: str | None = Field(None, description="Wanted digest; None: nothing is wanted on this track")
    version: Sentence | None = None
    image: str | None = Field(None, description="Repository of the image that is wanted, without tag and digest")
    wanted: int = 0
    ready: int = 0
    updated: int = Field(0, description="Ready replicas that run the wanted digest")
    settled: bool = Field(
        False, description="All wanted replicas run the wanted digest, are ready, and no other replica is left"
    )
    failure: Sentence | None = Field(
        None, description="R7: cannot become ready; a sentence with the event and the last log lines"
    )
    waiting: Sentence | None = Field(None, description="Not ready yet: what it waits for")
    changed_by: str | None = Field(
        None, description="Who said last what is wanted, when it was not this package and that is known"
    )
    scaled_by: str | None = Field(
        None,
        description="Who said last how many are wanted, when it was neither this package nor an autoscaler and that is known",
    )

    def runs(self, digest: str) -> bool:
        """Whether the digest is wanted, and no ready replica runs another one."""
        return self.digest == digest and 0 < self.ready <= self.updated

    @property
    def full(self) -> bool:
        """Whether as many replicas are ready as are wanted."""
        return self.ready >= max(1, self.wanted)

    @property
    def named(self) -> str:
        """What is wanted, in a sentence."""
        return self.version or self.digest or self.image or ("another image" if self.wanted else "nothing")

    @property
    def tagged(self) -> str:
        """The image by its tag, like ``registry.example/shop:1.0.0``."""
        return f"{self.image}:{self.version or 'latest'}" if self.image else self.named


class Observed(Stored):
    """Tracks, route and lease of an app in an environment at one moment."""

    tracks: dict[Track, TrackStatus] = Field(default_factory=dict)
    route: Route | None = None
    lease: Lease | None = None

    def track(self, track: Track) -> TrackStatus:
        """The track's status; an empty one if nothing runs there."""
        return self.tracks.get(track, TrackStatus(track=track))

    def weight(self, track: Track) -> int:
        """The track's share of the traffic in percent."""
        return self.route.traffic.weight(track) if self.route else 0

    @property
    def note(self) -> RouteNote:
        """The note on the route; an empty one if there is no route."""
        return self.route.note if self.route else RouteNote()

    def reaches(self, track: Track) -> bool:
        """Whether any request goes to the track: by weight, of testers, or a copy."""
        return self.route is not None and self.route.traffic.reaches(track)

    @property
    def beside(self) -> list[Track]:
        """Tracks beside stable that run something, or get requests."""
        return [it for it in BESIDE if self.track(it).wanted or self.reaches(it)]

    @property
    def stable_alone(self) -> bool:
        """Whether stable has all traffic, and no request goes anywhere else: not those of testers, nor copies."""
        return self.weight("stable") == 100 and not any(map(self.reaches, BESIDE))


class Answer(Stored):
    """What a track answered to one request."""

    status: int
    version: Sentence | None = Field(None, description="Of the version header")


class Usage(Stored):
    """CPU and memory of a track's busiest replica, as a share of its limit; None where there is no limit."""

    cpu: float | None = None
    memory: float | None = None
