"""The stages of a release as its records tell them: how long each took, what it measured, and by which limits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from release_pipelines.core.model.measurement import Judgement, finite
from release_pipelines.core.model.records import RecordedSample, ReleaseDetail

TRAFFIC = "traffic"
"""Kind of the events that tell when a stage got its traffic."""


@dataclass(frozen=True)
class Step:
    """One stage in one environment. Times are Unix times in seconds.

    :param weight: the new version's part of the traffic, in percent.
    :param begun_at: when it got its traffic; of releases of before, when it was first measured; None: nobody knows.
    """

    environment: str
    name: str
    weight: int
    begun_at: float | None
    decided_at: float
    judgement: Judgement
    sentence: str

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.begun_at is None else max(0.0, self.decided_at - self.begun_at)


@dataclass(frozen=True)
class Measured:
    """What one metric came to in one stage.

    :param rate: bad events by all events, where it counts events.
    :param middle: the median of its values, where it has no counts.
    :param limit: the highest value that was allowed; None: it was not judged.
    """

    environment: str
    step: str
    metric: str
    rate: float | None
    middle: float | None
    stable_rate: float | None
    samples: int
    failed: int
    limit: float | None

    @property
    def value(self) -> float | None:
        """The number that it came to."""
        return self.middle if self.rate is None else self.rate


def steps(release: ReleaseDetail) -> list[Step]:
    """The stages that were decided, in their order; one that was decided again counts by its last decision."""
    begun: dict[tuple[str | None, object], float] = {}
    for it in release.measurements:
        begun[it.environment, it.step] = min(it.at, begun.get((it.environment, it.step), math.inf))
    for event in release.events:
        if event.kind == TRAFFIC and event.data and isinstance(event.data.get("at"), (int, float)):
            begun[event.environment, event.data.get("step")] = event.data["at"]
    found = {
        (it.environment, it.step): Step(
            it.environment,
            it.step,
            it.weight,
            begun.get((it.environment, it.step)),
            it.decided_at,
            it.judgement,
            it.sentence,
        )
        for it in sorted(release.verdicts, key=lambda verdict: verdict.decided_at)
    }
    return sorted(found.values(), key=lambda it: it.decided_at)


def measured(release: ReleaseDetail) -> list[Measured]:
    """What each metric came to in each stage, in the order in which they were measured."""
    limits = {
        (it.environment, it.step, metric.metric): metric.limit for it in release.verdicts for metric in it.metrics
    }
    samples: dict[tuple[str, str, str], list[RecordedSample]] = {place: [] for place in limits}
    for it in release.measurements:
        samples.setdefault((it.environment, it.step, it.metric), []).append(it)
    return [_measured(place, own, limits.get(place)) for place, own in samples.items()]


def _measured(place: tuple[str, str, str], samples: list[RecordedSample], limit: float | None) -> Measured:
    values = [it.value for it in samples if finite(it.value)]
    return Measured(
        *place,
        rate=_rate((it.bad, it.total) for it in samples),
        middle=median(values) if values else None,
        stable_rate=_rate((it.stable_bad, it.stable_total) for it in samples),
        samples=len(samples),
        failed=sum(it.error is not None for it in samples),
        limit=limit,
    )


def _rate(counts: Iterable[tuple[float | None, float | None]]) -> float | None:
    """All bad events by all events: never the mean of rates."""
    known = [(bad, total) for bad, total in counts if finite(bad) and finite(total)]
    total = sum(it for _, it in known)
    return sum(it for it, _ in known) / total if total else None
