"""Samples of metrics, and their judgements."""

import math
from typing import Literal, TypeGuard

from pydantic import Field

from release_pipelines.core.model.base import Stored, Value
from release_pipelines.core.model.units import Sentence

Judgement = Literal["pass", "fail", "inconclusive", "error"]


class Sample(Stored):
    """One sample of one metric: numbers, or the error of the metrics service."""

    metric: str
    at: float = Field(description="Unix time in seconds")
    value: float | None = Field(None, description="Gauge value; for counts bad/total")
    bad: float | None = None
    total: float | None = None
    error: Sentence | None = Field(None, description="The metrics service did not answer, or answered with an error")
    stable_bad: float | None = Field(None, description="The same counts on stable, for the sentence")
    stable_total: float | None = None


class Measurement(Stored):
    """A sample with its judgement (R3)."""

    sample: Sample
    judgement: Judgement
    reason: str


class MetricQuery(Value):
    """PromQL of one metric on one track: ``bad`` and ``total`` for counts, ``value`` for gauges; None: there is no such number."""

    bad: str | None = None
    total: str | None = None
    value: str | None = None


def finite(value: float | None) -> TypeGuard[float]:
    """Whether ``value`` is a finite number: only such a one can pass or fail."""
    return value is not None and math.isfinite(value)
