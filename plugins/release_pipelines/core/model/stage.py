"""A strategy as data: stages, checks and questions, one task each."""

from typing import Literal

from pydantic import Field

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.base import Stored, Value
from release_pipelines.core.model.hold import Hold
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.model.units import (
    Duration,
)

OnDrift = Literal["reassert", "abort"]


class VerifySettings(Value):
    """A check of the team's own: a command that ends with 0."""

    image: str | None = Field(None, description="Default: the image that is released")
    command: list[str] = Field(min_length=1)
    timeout: Duration = Field(600, gt=0)


class StepApprovalSettings(Value):
    """A person in the middle of the steps."""

    timeout: Duration = Field(3600, gt=0)


class Stage(Stored):
    """One stage: capacity first, then traffic, then a hold in which the version is judged."""

    name: str = Field(description="Like step_10, testers, bake: the task's id, and the step in notes and verdicts")
    track: Track = Field(description="Where the new version is")
    traffic: Traffic | None = Field(None, description="None: as it is (rolling: stable has all of it anyway)")
    share: int = Field(100, description="Rolling: percent of stable's replicas that are replaced in this stage")
    hold: Hold
    analysis: Analysis
    on_drift: OnDrift = "reassert"
    wait_for_person: bool = Field(
        False, description="A failing verdict returns the traffic and waits for a person (R18)"
    )
    last: bool = Field(False, description="The bake: the promotion comes after it")
    paths: list[str] = Field(
        default_factory=list,
        description="With all traffic: these must answer as the new version where the traffic enters, soon after the switch",
    )
    replicas: int | None = Field(
        None, description="Fixed capacity of the track; None: it follows the traffic, as it always does at 100 %"
    )

    @property
    def weight(self) -> int:
        """Percent of the traffic that the new version has in this stage."""
        return self.traffic.weight(self.track) if self.traffic else self.share


class Check(Stored):
    """A stage that is a command which has to end with 0."""

    name: str
    verify: VerifySettings


class Question(Stored):
    """A stage that is a person's answer."""

    name: str
    approval: StepApprovalSettings


StageKind = Stage | Check | Question
