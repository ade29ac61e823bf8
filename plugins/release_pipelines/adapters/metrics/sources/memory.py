"""Memory as a share of the workload's limit."""

from __future__ import annotations

from release_pipelines.adapters.metrics.sources._usage import UsageSource
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.observation import Usage
from release_pipelines.core.model.target import Workload

_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Memory(UsageSource):
    """Bytes that are in use now, without what could be dropped at once."""

    series = "container_memory_working_set_bytes"

    def label(self, metric: Metric) -> str:
        return "memory"

    def share(self, usage: Usage) -> float | None:
        return usage.memory

    def limited(self, workload: Workload) -> bool:
        return workload.memory is not None

    def promql(self, workload: Workload, labels: str, window: float) -> str:
        return f"max({self.series}{labels}) / {memory_bytes(workload.memory or '')}"


METRIC_SOURCE = Memory()


def memory_bytes(text: str) -> int:
    """``256Mi`` in bytes."""
    return int(text[:-2]) * _UNITS[text[-2:]]
