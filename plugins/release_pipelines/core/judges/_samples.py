"""Samples as judges look at them."""

from __future__ import annotations

from collections.abc import Iterable

from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.measurement import Sample


def samples_of(metric: Metric, samples: Iterable[Sample]) -> list[Sample]:
    """The metric's own samples, each moment once, oldest first."""
    own = {sample.at: sample for sample in samples if sample.metric == metric.name}
    return [own[at] for at in sorted(own)]
