"""How a version is judged: an analysis file, or the part of an app file."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from release_pipelines.core.model.base import Value, reading_what_is_stored
from release_pipelines.core.model.choice import Choice
from release_pipelines.core.model.units import DnsName, Duration, Limit
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import METRIC_SOURCES, source_of

Action = Literal["rollback", "hold", "continue"]


class Metric(Value):
    """One thing that is measured on the canary.

    Exactly one of ``source`` (ready-made), ``bad`` with ``total`` (own counts in PromQL) or ``query`` (own gauge).
    """

    name: DnsName
    source: Annotated[str, Choice(METRIC_SOURCES)] | None = Field(
        None,
        description="Ready-made: failed requests, requests slower than `slower_than`, CPU or memory against the limit",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="What the source takes beside that")
    bad: str | None = Field(None, description="PromQL that counts bad events in {{ window }}")
    total: str | None = Field(None, description="PromQL that counts all events in {{ window }}")
    query: str | None = Field(None, description="PromQL that gives one number (a gauge)")
    limit: Limit = Field(description="Highest allowed value: a share like 1% for counts, a number for gauges")
    slower_than: Duration = Field(0.5, description="For slow_requests: a request that takes longer is slow")
    min_requests: int = Field(20, ge=1, description="Fewer events in the window than this: inconclusive")
    failure_limit: int = Field(1, ge=0, description="Consecutive failures that are tolerated; one more fails the step")
    critical: bool = Field(
        True,
        description="A metric that is not critical is reported but decides nothing; Kayenta's judge: it counts in the score, where a "
        "critical one that fails makes it 0",
    )
    tolerance: float = Field(
        1.05,
        ge=1,
        description="Sequential judge: the odds of a bad event may be so many times stable's, and what is less than about a fifth "
        "above that is never taken for evidence",
    )
    margin: Limit | None = Field(
        None,
        gt=0,
        description="A hold with `min` and `max` ends early when the share of bad events is surely not more than this above "
        "stable's; default: half the limit",
    )
    direction: Literal["increase", "decrease", "either"] = Field(
        "increase", description="Kayenta's judge: which change against the baseline is bad"
    )
    group: str = Field("default", description="Kayenta's judge: the group whose score this metric counts for")

    @property
    def counts(self) -> bool:
        """Whether the metric is bad events out of all events (else a gauge)."""
        return source_of(self).counts(self)

    @model_validator(mode="after")
    def _one_source(self) -> "Metric":
        if reading_what_is_stored():  # by a task, which may not need to load what measures it
            return self
        sources = [self.source is not None, self.bad is not None or self.total is not None, self.query is not None]
        if sum(sources) != 1 or (self.bad is None) != (self.total is None):
            raise ValueError("exactly one of `source`, `bad` with `total`, or `query` is expected")
        if source_of(self).unit(self) == "share" and not 0 <= self.limit <= 1:
            expected = "a `limit` from 0 to 100% is expected: a number without `%` is a share, like 0.01 for 1%"
            raise ValueError(f"{expected}, found {100 * self.limit:g}%")
        return self


class KayentaSettings(Value):
    """Settings of Kayenta's judge; the defaults are those that its documentation advises."""

    baseline: Literal["stable", "fresh"] = Field(
        "stable", description="fresh: a track of the old version with the canary's size and weight, started with it"
    )
    pass_score: float = Field(95, ge=0, le=100, description="From this score on the canary passes")
    marginal_score: float = Field(75, ge=0, le=100, description="Below this score it fails at the next measurement")
    group_weights: dict[str, float] = Field(
        default_factory=dict, description="Points of 100 per group; groups that are not named share the rest"
    )
    confidence: float = Field(0.98, gt=0.5, lt=1, description="Of the interval around the Hodges-Lehmann estimate")
    tolerance: float = Field(0.25, ge=0, description="Share of the estimate that counts as no change")
    effect_size: float = Field(1.0, ge=1, description="Least ratio of means for a change to count; 1: any")
    min_points: int = Field(10, ge=2, description="Fewer measurements than this: inconclusive")

    @model_validator(mode="after")
    def _ordered(self) -> "KayentaSettings":
        if self.marginal_score > self.pass_score:
            raise ValueError("a `marginal_score` that is not above `pass_score` is expected")
        if any(weight < 0 for weight in self.group_weights.values()) or sum(self.group_weights.values()) > 100:
            raise ValueError(
                f"`group_weights` of 0 or more that add up to 100 at most are expected, found {self.group_weights}"
            )
        return self


class Analysis(Value):
    """How a step is judged (R3)."""

    later: ClassVar[frozenset[str]] = frozenset({"patience"})

    judge: Annotated[str, Choice(JUDGES)] = Field(
        "sequential", description="How counts are judged; gauges always have a threshold, but for `kayenta`"
    )
    alpha: float = Field(
        0.001, gt=0, lt=0.5, description="Sequential judge: highest chance that a good canary fails, over all metrics"
    )
    kayenta: KayentaSettings = Field(default_factory=KayentaSettings)
    interval: Duration = Field(10, gt=0, description="Time between two measurements")
    window: Duration = Field(30, gt=0, description="How far each measurement looks back; never past the step's start")
    warm_up: Duration = Field(
        0, description="What happens so soon after a step begins is not measured: new replicas have cold caches"
    )
    min_measurements: int = Field(1, ge=1, description="So many must pass before a step can pass")
    error_limit: int = Field(5, ge=0, description="Consecutive errors of the metrics service that are tolerated")
    patience: Duration | None = Field(
        None,
        description="How long an inconclusive step waits beyond its hold; default: a minute where nothing could be measured, ten times "
        "the hold where what was measured is over its limit, which may be chance",
    )
    on_inconclusive: Action = "rollback"
    on_error: Action = "rollback"
    metrics: list[Metric] = Field(min_length=1)

    @property
    def unmeasured_patience(self) -> float:
        """How long a step waits beyond its hold for numbers, in seconds."""
        return 60.0 if self.patience is None else self.patience

    def undecided_patience(self, hold: float) -> float:
        """How long a step whose numbers are over a limit waits beyond its hold until they prove something, in seconds.

        Ten holds of five minutes: after three, 1.6 % of good versions with 5 requests/s are still over by chance (``make bench``, part
        `judges`). With more traffic the evidence comes long before.

        :param hold: the longest that the hold itself may take, in seconds.
        """
        return max(60.0, 10 * hold) if self.patience is None else self.patience

    @field_validator("metrics")
    @classmethod
    def _names_differ(cls, metrics: list[Metric]) -> list[Metric]:
        names = [metric.name for metric in metrics]
        if len(set(names)) != len(names):
            raise ValueError("metric names that differ are expected")
        if not any(metric.critical for metric in metrics):
            raise ValueError("at least one critical metric is expected")
        return metrics

    @field_validator("metrics")
    @classmethod
    def _fit_the_judge(cls, metrics: list[Metric], info: ValidationInfo) -> list[Metric]:
        if "judge" in info.data and not reading_what_is_stored():
            JUDGES.get(info.data["judge"]).check(metrics, info.data)
        return metrics
