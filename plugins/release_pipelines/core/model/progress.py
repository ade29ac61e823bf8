"""How far a stage has come, for people who look while it runs. All times are Unix times in seconds."""

from typing import ClassVar

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.units import lasting

PROGRESS = "progress.json"
"""Name under which the history keeps the newest one of a release."""


class Progress(Stored):
    """One look at a stage: who has which traffic, what is measured, what is still missing, and when it ends."""

    later: ClassVar[frozenset[str]] = frozenset({"closed"})

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
