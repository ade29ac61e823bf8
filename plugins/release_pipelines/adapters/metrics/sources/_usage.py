"""CPU and memory of a track's busiest container, as a share of its limit."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from release_pipelines.adapters.metrics.services import track_pods
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.measurement import MetricQuery, Sample
from release_pipelines.core.model.target import Target, Workload
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import Lack, Measuring
from release_pipelines.core.promql import PromQLSource, matcher, sample_of

if TYPE_CHECKING:
    from release_pipelines.core.model.observation import Usage


class UsageSource(PromQLSource):
    """Asks the platform itself, and where that does not know cAdvisor's metrics of the app's own container."""

    series: ClassVar[str]
    """Name of cAdvisor's metric."""

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
        used = await self._used(measuring, due[-1])
        if used is None:  # the metrics service knows the past, too
            return await super().samples(await _of_the_app(measuring), due)
        # A restart costs a good version none of the measurements that it needs.
        return [used.model_copy(update={"at": tick}) for tick in due[-measuring.analysis.min_measurements :]]

    async def lacks(self, measuring: Measuring) -> list[Lack]:
        metric, target = measuring.metric, measuring.target
        if not self.limited(target.workload) or await measuring.platform.usage(target, "stable") is not None:
            return []
        measuring = await _of_the_app(measuring)
        labels = _containers(measuring.target, "stable")
        if await measuring.service.query(f"count(last_over_time({self.series}{labels}[5m]))", measuring.started_at):
            return await super().lacks(measuring)
        container = measuring.target.workload.container or measuring.target.workload.name
        return [
            Lack(
                f"Metric {metric.name}: Prometheus has no {self.series} of container {container} of stable in "
                f"{target.environment}: a scrape of the kubelets (cAdvisor) is expected, or no `{metric.source}` in the analysis.",
                certain=True,
            )
        ]

    async def _used(self, measuring: Measuring, tick: float) -> Sample | None:
        """What the platform says now; None: it does not know."""
        platform, target, metric = measuring.platform, measuring.target, measuring.metric
        compared = measuring.beside if JUDGES.get(measuring.analysis.judge).compares else None
        try:
            usage = await platform.usage(target, measuring.track)
            other = await platform.usage(target, compared) if compared else None
            if usage is None:
                return None
        except PlatformError as error:  # a replica that has just gone, or an engine that is away: no measurement
            return Sample(metric=metric.name, at=tick, error=str(error))
        sample = sample_of(metric, tick, None, None, self.share(usage))
        return sample.model_copy(update={"stable_bad": self.share(other), "stable_total": 1.0}) if other else sample


async def _of_the_app(measuring: Measuring) -> Measuring:
    """The same, with the app's container by its name: sidecars have limits of their own."""
    named = getattr(measuring.platform, "container", None)  # a platform of others may not know it
    if measuring.target.workload.container or named is None:
        return measuring
    if "container" not in measuring.memory:
        measuring.memory["container"] = await named(measuring.target)
    workload = measuring.target.workload.model_copy(update={"container": measuring.memory["container"]})
    return replace(measuring, target=measuring.target.model_copy(update={"workload": workload}))


def _containers(target: Target, track: Track) -> str:
    """Matchers of the app's own containers in a track's pods."""
    container = target.workload.container or target.workload.name or target.app
    pods = f'pod=~"{track_pods(target, track)}"'
    return f"{{{matcher('namespace', target.namespace)},{pods},{matcher('container', container)}}}"
