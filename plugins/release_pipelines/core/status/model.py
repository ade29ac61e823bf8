"""The state of one release, as its page and ``release show --json`` have it. All times are Unix times in seconds."""

from typing import ClassVar, Literal

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.measurement import Judgement
from release_pipelines.core.model.outcome import TrainOutcome
from release_pipelines.core.model.progress import MetricNow, Point, TrackNow

StageState = Literal["done", "now", "to come", "skipped", "failed"]
StageKind = Literal[
    "preflight",
    "build",
    "examine",
    "environment",
    "before",
    "approval",
    "deploy",
    "stage",
    "check",
    "question",
    "promotion",
    "rollback",
]


class Planned(Stored):
    """One part of a release, as its specification has it."""

    name: str = Field(description="The task's id without its group, or the name of a group of tasks")
    kind: StageKind
    environment: str | None = None
    words: str = Field("", description="What it does, in words without a full stop")
    weight: int | None = Field(None, description="Percent of the traffic, or of the replicas, of the new version")
    timeout: float | None = Field(None, description="Seconds that an answer is waited for")


class Line(Stored):
    """All parts of a release in their order."""

    stages: list[Planned] = Field(default_factory=list)
    strategy: str | None = None
    environment: str | None = Field(None, description="The last one")
    repository: str | None = Field(None, description="Where the source code is, without what signs in there")


class StageStatus(Stored):
    """One part of a release, and how far it is."""

    name: str
    kind: StageKind
    environment: str | None = None
    words: str = ""
    weight: int | None = None
    state: StageState
    began_at: float | None = None
    ended_at: float | None = None
    judgement: Judgement | None = None
    sentence: str | None = None


class Tracks(Stored):
    """Who has which traffic, and with how many replicas."""

    at: float | None = Field(None, description="When that was looked at; None: nobody has looked")
    environment: str | None = None
    tracks: list[TrackNow] = Field(default_factory=list)
    source: Literal["observed", "stage", "event"] | None = Field(
        None, description="observed: by whoever looks all the time; stage: by the stage itself; event: as it was told"
    )


Waits = Literal["hold", "numbers", "resume", "window", "approval", "answer", "work", "nothing"]


class Clock(Stored):
    """What a release waits for, and until when."""

    waits_for: Waits
    sentence: str = Field(description="The same in words, without the moments")
    at: float | None = Field(None, description="When that was seen; None: it follows from what is recorded")
    since_at: float | None = None
    earliest_at: float | None = Field(None, description="When the hold may end, with enough evidence")
    latest_at: float | None = Field(None, description="When it ends, if nothing is missing then")
    patient_until_at: float | None = Field(None, description="Until when it waits for what is missing then")
    expires_at: float | None = Field(None, description="When the question expires")
    opens_at: float | None = Field(None, description="When the window opens")
    closes_at: float | None = Field(None, description="When the window closes")
    by: str | None = Field(None, description="Who has paused it")
    who: str | None = Field(None, description="Who may answer, in words")

    @property
    def until(self) -> float | None:
        """The moment that a countdown goes to."""
        ends = {"hold": self.latest_at, "numbers": self.patient_until_at, "window": self.opens_at}
        return ends.get(self.waits_for, self.expires_at)


class MetricStatus(MetricNow):
    """One metric, where it is measured now, or as it was last."""

    environment: str
    step: str
    at: float
    live: bool = Field(False, description="It is being measured")


class Span(Stored):
    """One metric in one step."""

    step: str
    limit: float | None = Field(None, description="None: it was not told")
    points: list[Point] = Field(default_factory=list)


class Series(Stored):
    """One metric over the release, in one environment: what its chart and its table show."""

    environment: str
    metric: str
    label: str
    unit: Literal["share", "number"] = "number"
    spans: list[Span] = Field(default_factory=list)

    @property
    def newest(self) -> float:
        """When it was last measured."""
        return max((it.points[-1][0] for it in self.spans if it.points), default=0.0)


class Commit(Stored):
    """One commit that the release brings."""

    sha: str
    authored_at: float | None = None
    link: str | None = None


class Findings(Stored):
    """What scanners found, in numbers."""

    blocking: int = 0
    excepted: int = 0
    passing: int = 0
    undecided: int = Field(0, description="Nobody can say whether they are bad: they stop a release, too")
    new: int | None = Field(None, description="Against the version that serves; None: not compared")
    fixed: int | None = None
    not_looked_at: list[str] = Field(default_factory=list, description="What nobody could look at, a sentence each")


class Deployed(Stored):
    """What the release brings."""

    version: str
    digest: str | None = None
    image: str | None = None
    commit: Commit | None = None
    commits: list[Commit] | None = Field(None, description="None: they were not kept")
    findings: Findings | None = Field(None, description="None: nothing was judged")
    sboms: list[str] = Field(default_factory=list, description="Names of its attachments that are SBOMs")
    checks: dict[str, str] = Field(default_factory=dict, description="What checks found about the digest")


class Said(Stored):
    """Something that a person has said, or that was done in their name."""

    at: float
    by: str | None = Field(None, description="None: nobody did")
    what: str = Field(description="One word or two, like `approved`, `pause`, `asked`")
    text: str | None = Field(None, description="Their words")
    effect: str | None = Field(None, description="What it did, in a sentence; None: nobody has taken it up yet")
    effect_at: float | None = None
    open: bool = Field(False, description="A command that nobody has taken up yet")


class WayBack(Stored):
    """To what the release goes back, went back, or would."""

    state: Literal["would", "goes", "went", "failed", "not touched", "none", "over", "unknown"]
    version: str | None = None
    digest: str | None = None
    sentence: str
    at: float | None = None


class ReleaseStatus(Stored):
    """One release, now or afterwards."""

    later: ClassVar[frozenset[str]] = frozenset()

    id: str
    app: str
    version: str
    environment: str | None = Field(None, description="Where it is, or was last")
    outcome: TrainOutcome | None = None
    at: float = Field(description="When this was put together")
    sentence: str
    stages: list[StageStatus] = Field(default_factory=list)
    tracks: Tracks = Field(default_factory=Tracks)
    clock: Clock
    metrics: list[MetricStatus] = Field(default_factory=list)
    series: list[Series] = Field(default_factory=list, description="All metrics over the release, thinned out")
    measured: list[str] = Field(default_factory=list, description="Numbers so far, a sentence each")
    missing: list[str] = Field(default_factory=list, description="What could not be measured, and why")
    deployed: Deployed
    said: list[Said] = Field(default_factory=list, description="Oldest first")
    way_back: WayBack

    @property
    def stage(self) -> StageStatus | None:
        """Where it is now."""
        return next((it for it in self.stages if it.state == "now"), None)
