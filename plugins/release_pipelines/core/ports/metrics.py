"""Where measurements come from."""

from __future__ import annotations

from typing import Protocol

from release_pipelines.core.seams import Seam


class MetricSource(Protocol):
    """Measures one metric."""


METRIC_SOURCES: Seam[MetricSource] = Seam("metric_source", "release_pipelines.adapters.metrics.sources")
