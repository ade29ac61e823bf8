"""What all measurements of a stage amount to."""

from typing import Any

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.measurement import Judgement
from release_pipelines.core.model.units import Sentence


class MetricVerdict(Stored):
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
    sentence: Sentence


class Verdict(Stored):
    """What a step or a bake amounts to."""

    judgement: Judgement
    decided_at: float = Field(description="Unix time of the answer that completed the verdict")
    accepted_at: float | None = Field(None, description="Unix time when the router had accepted what follows from it")
    step: str
    weight: int
    metrics: list[MetricVerdict] = Field(default_factory=list)
    evidence: dict[str, Any] = Field(default_factory=dict, description="For the next stage's note, by metric")
    sentence: Sentence
