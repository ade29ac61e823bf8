"""Records of the history. All times are Unix times in seconds."""

from typing import Any, Literal

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.command import Command
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.outcome import Outcome, TrainOutcome
from release_pipelines.core.model.progress import Progress
from release_pipelines.core.model.verdict import Verdict

COMMITS = "commits.json"
"""Name of the attachment with the commits that a release brings: ``[{"sha", "authored_at", "counts"}]``."""
STAGES = "stages.json"
"""Name of the attachment with all parts of a release, as its specification has them when it begins."""
About = Literal["expected", "happened", "note"]
Decision = Literal["approved", "rejected", "expired"]
Direction = Literal["forward", "backward"]


class Event(Stored):
    """Something that happened in a release."""

    at: float
    kind: str
    environment: str | None = None
    sentence: str
    data: dict[str, Any] | None = None


class Approval(Stored):
    """A person's answer to an approval, bound to a digest (R10)."""

    release_id: str
    digest: str
    decision: Decision
    by: str | None = Field(None, description="None: nobody answered")
    at: float
    note: str | None = None


class Evidence(Stored):
    """What a check found about a digest, in an earlier release of it."""

    result: str
    at: float
    release: str


class Attachment(Stored):
    """A text that belongs to a release: the incident report, or a metric's plot."""

    name: str = Field(description="Like incident.md or production-step_10-errors.svg")
    media_type: str
    at: float
    content: str


class Mark(Stored):
    """What a release that went back in an environment says against its version there."""

    release: str
    environment: str | None = Field(None, description="None: an earlier version did not keep it, so everywhere")
    sentence: str = Field(description="Why")
    at: float
    lifted_by: str | None = Field(None, description="Who said that it was not the version's fault")
    lifted_because: str | None = None
    lifted_at: float | None = None


class Stability(Stored):
    """How stable one version is, over all of its releases."""

    version: str
    digest: str
    promoted: int = Field(0, description="Times that it was promoted")
    held: int = Field(0, description="Times that it serves or served to the end of its release")
    rolled_back: int = 0
    aborted: int = 0
    aborted_by: list[str] = Field(default_factory=list)
    last_outcome: Outcome | None = None
    last_at: float
    good: bool = Field(False, description="A rollback may go back to it (R8)")
    why: str = Field("", description="Why it may, or may not, in a sentence")
    marks: list[Mark] = Field(default_factory=list, description="What it is blamed for, newest first, lifted or not")


class RecordedVerdict(Verdict):
    """A verdict with its environment."""

    environment: str


class RecordedSample(Sample):
    """A sample with its environment and step."""

    environment: str
    step: str


class Remark(Stored):
    """What a person adds to a release."""

    id: int
    at: float
    by: str
    about: About = Field(description="What was expected of the release, what happened, or anything else")
    text: str


class Release(Stored):
    """One release in a list."""

    id: str
    app: str
    dag_id: str
    run_id: str
    version: str
    commit: str | None = None
    digest: str | None = None
    image: str | None = None
    reason: str | None = Field(None, description="Why it was urgent, if it was")
    notes: str | None = None
    requester: str | None = None
    started_by: str | None = Field(None, description="Who started its run, where that is somebody else: a robot, say")
    approver: str | None = Field(None, description="Who approved it; where nobody did, who rejected it")
    outcome: TrainOutcome | None = Field(None, description="None: it is still running")
    sentence: str | None = None
    direction: Direction = "forward"
    started_at: float
    ended_at: float | None = None
    promoted_at: float | None = None
    schema_version: int = 1


class Plan(Stored):
    """A release that is planned for a moment."""

    release: str
    app: str
    version: str
    environment: str = Field(description="Where it begins then: the app's last environment")
    start_at: str = Field(description="The wall time, with its zone or in that of the environment")
    requester: str | None = None
    begun: bool = Field(False, description="It has begun there, and has not ended yet")


class ReleaseDetail(Release):
    """One release with all of its records."""

    events: list[Event] = Field(default_factory=list)
    verdicts: list[RecordedVerdict] = Field(default_factory=list)
    measurements: list[RecordedSample] = Field(default_factory=list)
    approvals: list[Approval] = Field(default_factory=list)
    commands: list[Command] = Field(default_factory=list)
    remarks: list[Remark] = Field(default_factory=list, description="What people have added to it")
    progress: Progress | None = Field(None, description="How far its stage had come at the last look, while it runs")
