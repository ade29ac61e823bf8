"""A metric source: how many jobs wait, as a file says."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.metrics import Measuring, MetricSource
from release_pipelines.core.ports.platform import Platform


class QueueOptions(Value):
    """Where the number is."""

    file: Path = Field(description="A file that holds the number of jobs")


class QueueDepth(MetricSource):
    """A gauge."""

    options = QueueOptions

    def counts(self, metric: Metric) -> bool:
        return False

    def label(self, metric: Metric) -> str:
        return "jobs that wait"

    def unit(self, metric: Metric) -> str:
        return "number"

    async def check(self, target: Target, metric: Metric, platform: Platform) -> None:
        file = QueueOptions.model_validate(metric.options).file
        if not file.is_file():
            raise ReleaseError(f"Metric {metric.name}: there is no file {file}.")

    async def samples(self, measuring: Measuring, due: list[float]) -> list[Sample]:
        jobs = float(QueueOptions.model_validate(measuring.metric.options).file.read_text())
        return [Sample(metric=measuring.metric.name, at=tick, value=jobs) for tick in due]


METRIC_SOURCE = QueueDepth()
