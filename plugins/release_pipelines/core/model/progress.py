"""How far a stage has come, for people who look while it runs. All times are Unix times in seconds."""

from typing import ClassVar, Literal

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.measurement import Judgement
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.units import lasting

PROGRESS = "progress.json"
"""Name under which the history keeps the newest one of a release."""


Point = tuple[float, float | None, float | None]
"""Unix time in seconds, the new version's number, and stable's; None where there was none."""


class TrackNow(Stored):
    """One track at one look."""

    track: Track
    weight: int | None = Field(None, description="Percent of the traffic; None: it has no share of its own")
    ready: int = 0
    wanted: int = 0
    version: str | None = None
    digest: str | None = None


class MetricNow(Stored):
    """One metric in numbers, so far."""

    metric: str
    label: str = Field(description="What it is, in a sentence")
    unit: Literal["share", "number"] = "number"
    judgement: Judgement
    value: float | None = Field(None, description="Of the new version")
    stable: float | None = Field(None, description="Of what it is compared with; None: nothing, or it has no number")
    limit: float
    measurements: int = 0
    evidence: float | None = Field(None, description="As the judge counts it: for most, the logarithm of an e-value")
    threshold: float | None = Field(None, description="Where the evidence decides; None: the judge has no such number")
    critical: bool = True
    missing: str | None = Field(None, description="Why it could not be measured yet")
    sentence: str
    points: list[Point] = Field(default_factory=list, description="How it went in this stage, thinned out")


class Progress(Stored):
    """One look at a stage: who has which traffic, what is measured, what is still missing, and when it ends."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"closed", "metrics", "tracks", "seen_at", "began_at", "paused_at", "opens_at", "closes_at"}
    )

    at: float
    environment: str
    step: str
    weight: int = Field(
        description="Percent of the traffic, or in a rolling release of the replicas, that the new version has"
    )
    traffic: str = Field(description="The same in words, like `the canary has 10 % of the traffic`")
    measured: list[str] = Field(default_factory=list, description="Numbers so far, a sentence each")
    missing: list[str] = Field(default_factory=list, description="What could not be measured yet, and why")
    earliest: float | None = Field(None, description="When the hold may end; None while its clock stands still")
    latest: float | None = Field(
        None, description="When it ends, if nothing is missing then; None while its clock stands still"
    )
    patience: float = Field(0, description="Seconds that it waits longer for what is missing")
    closed: str | None = Field(None, description="Why its window is closed, where it waits for that")
    metrics: list[MetricNow] = Field(
        default_factory=list, description="The same as `measured` and `missing`, in numbers"
    )
    tracks: list[TrackNow] = Field(default_factory=list, description="What ran at the last look at the platform")
    seen_at: float | None = Field(None, description="When that look was")
    began_at: float | None = Field(None, description="When the stage got its traffic")
    paused_at: float | None = Field(None, description="Since when its clock stands still")
    opens_at: float | None = Field(None, description="When its window opens, where it waits for that and that is known")
    closes_at: float | None = Field(None, description="When its window closes, where it heeds that and that is known")

    def sentence(self) -> str:
        """All of it, for a log: numbers and seconds change from tick to tick."""
        return f"{self.step}: {self.traffic}. {self.evidence()} {self.time_left(self.at)}"

    def evidence(self) -> str:
        """What is measured, and what is still missing."""
        parts = [f"Measured: {'; '.join(self.measured)}."] if self.measured else []
        if self.missing:
            parts.append(f"Still missing: {'; '.join(self.missing)}.")
        return " ".join(parts) or "Nothing is measured yet."

    def time_left(self, now: float) -> str:
        """How long the hold goes on, in a sentence."""
        if self.closed:
            return f"Its clock stands still until its window opens: {self.closed}."
        if self.latest is None or self.earliest is None:
            return "Its clock stands still: a person has paused it."
        if now >= self.latest:
            wait = self.latest + self.patience - now
            what = "what is missing is waited for" if self.missing else "it holds on until the numbers decide"
            return f"Its time is over; {what}, {lasting(max(0.0, wait))} more."
        left = f"{lasting(self.latest - now)} left"
        if self.earliest < self.latest:
            soonest = lasting(self.earliest - now) if now < self.earliest else "as soon as the evidence is good enough"
            return f"{left}, or less: {f'from {soonest} on' if now < self.earliest else soonest}."
        return f"{left}."

    def headline(self) -> str:
        """What changes only when something happens, for a note."""
        if self.closed:
            until = f", its window is {self.closed}"
        elif self.latest is None:
            until = ", paused"
        elif self.at < self.latest:
            until = f" until {clock(self.latest)} UTC"
        else:
            end = clock(self.latest + self.patience)
            until = f"; its time is over, it waits for the numbers until {end} UTC at the latest"
        names = ", ".join(sorted({it.partition(":")[0] for it in self.missing}))
        return f"{self.step}: {self.traffic}{until}{f'; not measured yet: {names}' if names else ''}."


def clock(at: float) -> str:
    """A moment of today in UTC, to the second."""
    from datetime import datetime, timezone

    return datetime.fromtimestamp(at, timezone.utc).strftime("%H:%M:%S")
