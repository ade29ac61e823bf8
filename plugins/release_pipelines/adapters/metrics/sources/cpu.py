"""CPU as a share of the workload's limit."""

from __future__ import annotations

from release_pipelines.adapters.metrics.sources._usage import UsageSource
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.observation import Usage
from release_pipelines.core.model.target import Workload
from release_pipelines.core.promql import duration


class Cpu(UsageSource):
    """Cores that are used, averaged over the window."""

    series = "container_cpu_usage_seconds_total"

    def label(self, metric: Metric) -> str:
        return "CPU"

    def share(self, usage: Usage) -> float | None:
        return usage.cpu

    def limited(self, workload: Workload) -> bool:
        return workload.cpu is not None

    def promql(self, workload: Workload, labels: str, window: float) -> str:
        used = f"sum by (pod, container) (rate({self.series}{labels}[{duration(window)}]))"
        return f"max({used}) / {workload.cpu:.12g}"


METRIC_SOURCE = Cpu()
