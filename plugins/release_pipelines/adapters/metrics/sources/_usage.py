"""CPU and memory of a track's busiest container, as a share of its limit."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING

from release_pipelines.adapters.metrics.services import track_service
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.measurement import MetricQuery, Sample
from release_pipelines.core.model.target import Target, Workload
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import Measuring
from release_pipelines.core.promql import PromQLSource, matcher, sample_of

if TYPE_CHECKING:
    from release_pipelines.core.model.observation import Usage


class UsageSource(PromQLSource):
    """Asks the platform itself, and where that does not know cAdvisor's metrics."""

    @abstractmethod
    def share(self, usage: Usage) -> float | None:
        """What the platform itself reports."""

    @abstractmethod
    def limited(self, workload: Workload) -> bool:
        """Whether the workload has a limit that this is a share of."""

    @abstractmethod
    def promql(self, workload: Workload, labels: str, window: float) -> str:
        """The share that the busiest container has of its limit.

        :param labels: matchers of the track's containers.
        :param window: seconds.
        """

    def counts(self, metric: Metric) -> bool:
        return False

    def measurable(self, metric: Metric, workload: Workload) -> bool:
        return self.limited(workload)

    def query(self, target: Target, metric: Metric, track: Track, window: float) -> MetricQuery:
        if not self.limited(target.workload):
            return MetricQuery()
        return MetricQuery(value=self.promql(target.workload, _containers(target, track), window))

    async def samples(self, measuring: Measuring, due: list[float]) -> list[Sample]:
        return list(await asyncio.gather(*(self._used(measuring, tick) for tick in due)))

    async def _used(self, measuring: Measuring, tick: float) -> Sample:
        platform, target, metric = measuring.platform, measuring.target, measuring.metric
        compared = measuring.beside if JUDGES.get(measuring.analysis.judge).compares else None
        try:
            usage = await platform.usage(target, measuring.track)
            other = await platform.usage(target, compared) if compared else None
        except PlatformError as error:  # a replica that has just gone, or an engine that is away: no measurement
            return Sample(metric=metric.name, at=tick, error=str(error))
        if usage is None:
            return await self._sample(measuring, tick)
        sample = sample_of(metric, tick, None, None, self.share(usage))
        return sample.model_copy(update={"stable_bad": self.share(other), "stable_total": 1.0}) if other else sample


def _containers(target: Target, track: Track) -> str:
    name = target.workload.container
    container = matcher("container", name) if name else 'container!="",container!="POD"'
    # A Deployment's pods: its name, the pod template's hash, five letters. Neither of the last two has a dash.
    pods = f'pod=~"{track_service(target, track)}-[a-z0-9]+-[a-z0-9]{{5}}"'
    return f"{{{matcher('namespace', target.namespace)},{pods},{container}}}"
