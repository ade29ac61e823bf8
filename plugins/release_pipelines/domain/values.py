"""Values that travel: between tasks by XCom, to triggers, to platforms and into the history. All of them are JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from release_pipelines.spec.analysis import MetricSpec
from release_pipelines.spec.base import Outcome as Outcome
from release_pipelines.spec.models import RouterSpec, WorkloadSpec

Track = Literal["stable", "canary", "preview", "baseline"]
BESIDE: tuple[Track, ...] = ("canary", "preview", "baseline")
"""Tracks that come and go with a release."""
Judgement = Literal["pass", "fail", "inconclusive", "error"]


class Value(BaseModel):
    """Base: frozen, JSON in and out by ``model_dump(mode="json")`` and ``model_validate``."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Artifact(Value):
    """What is released: an image digest with its name tags."""

    app: str
    version: str
    image: str = Field(description="Repository without tag or digest, like registry.example/storefront")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    commit: str | None = None
    evidence: dict[str, str] = Field(default_factory=dict, description="Names of checks to their result in words")

    @property
    def reference(self) -> str:
        """The image as it is deployed: by digest, never by tag."""
        return f"{self.image}@{self.digest}"


class Update(Value):
    """How many replicas a rolling update replaces at a time: numbers, or shares like ``25%``."""

    max_surge: int | str = 1
    max_unavailable: int | str = 0


class Target(Value):
    """One app in one environment: all that a platform, a metric query or a smoke test needs to know. Frozen at preflight."""

    app: str
    environment: str
    platform: Literal["container_host", "kubernetes"]
    platform_connection: str
    registry_connection: str
    prometheus_connection: str
    namespace: str = "default"
    workload: WorkloadSpec = Field(description="With its name filled in and the environment's replicas and env merged")
    router: RouterSpec = Field(description="With its route filled in")
    url: str = Field(description="Where the traffic enters, like http://127.0.0.1:8000")
    host: str | None = Field(None, description="Host header that selects the app")
    preview: bool = Field(False, description="A release here begins as a preview (blue-green)")
    preview_host: str | None = Field(None, description="Host header that selects the preview of a blue-green release")
    update: Update | None = Field(None, description="How stable is rolled; None: as the platform does by itself")
    version_header: str = "X-App-Version"


class Deployment(Value):
    """What a deploy did: pushed to XCom by the operators that deploy."""

    environment: str
    platform: str
    track: Track
    digest: str
    version: str
    previous_digest: str | None = None
    previous_version: str | None = None
    first: bool = Field(False, description="Nothing ran before that could take the traffic back (R17): it is on stable")
    good: Artifact | None = Field(
        None, description="What a rollback of stable goes back to, as known before the change"
    )
    changed: bool = True


# --- analysis -------------------------------------------------------------------------------------------------


class Sample(Value):
    """One raw look at one metric: numbers, or the error that stood in the way."""

    metric: str
    at: float = Field(description="Unix time in seconds")
    value: float | None = Field(None, description="Gauge value; for counts bad/total")
    bad: float | None = None
    total: float | None = None
    error: str | None = Field(None, description="The metrics service did not answer, or answered with an error")
    stable_bad: float | None = Field(None, description="The same counts on stable, for the sentence")
    stable_total: float | None = None


class Measurement(Value):
    """A sample with its judgement (R3)."""

    sample: Sample
    judgement: Judgement
    reason: str


class MetricVerdict(Value):
    """What all measurements of one metric amount to in one step."""

    metric: str
    judgement: Judgement
    value: float | None = None
    limit: float
    measurements: int = 0
    critical: bool = True
    evidence: float | None = Field(
        None, description="Sequential judge: natural logarithm of the larger e-value; Kayenta's: the canary's score"
    )
    sentence: str


class Verdict(Value):
    """What a step or a bake amounts to."""

    judgement: Judgement
    decided_at: float = Field(description="Unix time of the answer that completed the verdict")
    accepted_at: float | None = Field(None, description="Unix time when the router had accepted what follows from it")
    step: str
    weight: int
    metrics: list[MetricVerdict] = Field(default_factory=list)
    evidence: dict[str, Any] = Field(default_factory=dict, description="For the next stage's note, by metric")
    sentence: str


# --- platform -------------------------------------------------------------------------------------------------


class TrackStatus(Value):
    """What runs on one track."""

    track: Track
    digest: str | None = Field(None, description="Wanted digest; None: nothing is wanted on this track")
    version: str | None = None
    wanted: int = 0
    ready: int = 0
    updated: int = Field(0, description="Ready replicas that run the wanted digest")
    settled: bool = Field(
        False, description="All wanted replicas run the wanted digest, are ready, and no other replica is left"
    )
    failure: str | None = Field(
        None, description="R7: cannot become ready; a sentence with the event and the last log lines"
    )
    waiting: str | None = Field(None, description="Not ready yet: what it waits for")


class Lease(Value):
    """Who may change an app in an environment (R2)."""

    holder: str
    fence: int
    expires_at: float


class Match(Value):
    """Requests of testers: a header, or a cookie, with exactly this value."""

    kind: Literal["header", "cookie"]
    name: str
    value: str

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, found: Any) -> Any:
        """Names of headers mean the same in any case, and some routers know them in lower case only."""
        if isinstance(found, dict) and found.get("kind") == "header":
            return {**found, "name": str(found.get("name")).lower()}
        return found


class Traffic(Value):
    """Who gets which requests. The weights of all tracks add up to 100; a track that is not named has none."""

    weights: dict[Track, int]
    testers: Match | None = Field(None, description="Requests that match go to the canary, whatever the weights")
    mirror: int = Field(0, ge=0, le=100, description="Percent of the requests that the canary gets a copy of")
    sticky: bool = Field(False, description="A client stays with the track that answered it first")

    @model_validator(mode="after")
    def _whole(self) -> Traffic:
        if sum(self.weights.values()) != 100 or min(self.weights.values()) < 0:
            raise ValueError(f"weights of 0 or more that add up to 100 are expected, found {self.weights}")
        return self

    def weight(self, track: Track) -> int:
        """The track's share in percent."""
        return self.weights.get(track, 0)

    def reaches(self, track: Track) -> bool:
        """Whether any request goes to the track: by weight, of testers, or a copy."""
        return self.weight(track) > 0 or (track == "canary" and bool(self.testers or self.mirror))

    def same(self, other: Traffic) -> bool:
        """Whether two splits mean the same: a track without weight may be named or not."""

        def meant(it: Traffic) -> Traffic:
            return it.model_copy(update={"weights": {track: share for track, share in it.weights.items() if share}})

        return meant(self) == meant(other)


ALL_TO_STABLE = Traffic(weights={"stable": 100})


def share_with(track: Track, weight: int, **more: Any) -> Traffic:
    """``weight`` percent for ``track``, the rest for stable."""
    return Traffic(weights={"stable": 100 - weight, track: weight} if track != "stable" else {"stable": 100}, **more)


class RouteNote(Value):
    """What a release keeps with the traffic: whoever looks can tell where it is, and any restart can pick it up (R6)."""

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
    def _version_1(cls, found: Any) -> Any:
        """Notes of version 1 knew a canary's weight only."""
        if isinstance(found, dict) and "weight" in found:
            weight = found["weight"]
            found = {key: value for key, value in found.items() if key not in ("weight", "schema_version")}
            if weight is not None:
                found["traffic"] = {"weights": {"stable": 100 - weight, "canary": weight}}
        return found


class Route(Value):
    """How the traffic is split now, read from the router itself."""

    traffic: Traffic
    fence: int = 0
    note: RouteNote = Field(default_factory=RouteNote)
    changed_by: str | None = Field(None, description="Who wrote the route last, when it was not this package")


class Observed(Value):
    """One look at an app in an environment."""

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
    def beside(self) -> list[Track]:
        """Tracks beside stable that run something, or have traffic."""
        return [it for it in BESIDE if self.track(it).wanted or self.weight(it)]


class Answer(Value):
    """What a track answered to one request."""

    status: int
    version: str | None = Field(None, description="Of the version header")


class Usage(Value):
    """CPU and memory of a track's busiest replica, as a share of its limit; None where there is no limit."""

    cpu: float | None = None
    memory: float | None = None


class MetricQuery(Value):
    """PromQL of one metric on one track: ``bad`` and ``total`` for counts, ``value`` for gauges."""

    metric: MetricSpec
    bad: str | None = None
    total: str | None = None
    value: str | None = None


def to_json(value: Value) -> dict[str, Any]:
    """The value as a plain dict for XCom, trigger arguments and the history."""
    return value.model_dump(mode="json")
