"""Measuring: which measurements are due, and the samples of the metrics' sources (R3, R6)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import Lack, Measuring, MetricsService, OpenClient, OpenMetrics, source_of
from release_pipelines.core.ports.platform import Platform


class Measurer:
    """Takes every measurement of a stage that is due, at absolute times, so that a restart takes the same ones.

    :param target: the app in its environment.
    :param track: what is judged.
    :param beside: what it is compared with; None: nothing.
    :param analysis: the metrics and how they are judged.
    :param open_metrics: opens the metrics service of the target.
    :param open_client: opens other services that sources ask; None: nobody does.
    """

    def __init__(
        self,
        target: Target,
        track: Track,
        beside: Track | None,
        analysis: Analysis,
        open_metrics: OpenMetrics,
        open_client: OpenClient | None = None,
    ) -> None:
        self.target = target
        self.track: Track = track
        self.beside: Track | None = beside
        self.analysis = analysis
        self._open_metrics = open_metrics
        self._open_client = open_client
        self._service: MetricsService | None = None
        self._samples: dict[tuple[str, float], Sample] = {}
        self._sorted: list[Sample] = []
        self._memory: dict[str, dict[Any, Any]] = {metric.name: {} for metric in analysis.metrics}
        self._taken_up_to = -math.inf

    @property
    def samples(self) -> list[Sample]:
        """All samples so far, oldest first."""
        if not self._sorted:
            self._sorted = sorted(self._samples.values(), key=lambda sample: (sample.at, sample.metric))
        return self._sorted.copy()

    @property
    def taken(self) -> int:
        """How many samples there are."""
        return len(self._samples)

    async def take(
        self, platform: Platform, started_at: float, until: float, served_since: float | None = None
    ) -> None:
        """Take what is due up to ``until`` and not there yet.

        :param started_at: Unix time in seconds at which the stage's traffic was accepted.
        :param until: Unix time in seconds.
        :param served_since: Unix time in seconds at which the track got its first requests in this release; None: at ``started_at``.
        """
        due = ticks(started_at, self.analysis.interval, until, self._taken_up_to)
        if not due:
            return
        try:
            service = self._service = self._service or await self._open_metrics(self.target.prometheus_connection)
        except ReleaseError as error:
            for metric in self.analysis.metrics:
                self._keep([Sample(metric=metric.name, at=tick, error=str(error)) for tick in due])
            self._taken_up_to = due[-1]
            return
        await asyncio.gather(
            *(self._take(metric, platform, service, started_at, due, served_since) for metric in self.analysis.metrics)
        )
        self._taken_up_to = due[-1]

    async def _take(
        self,
        metric: Metric,
        platform: Platform,
        service: MetricsService,
        started_at: float,
        due: list[float],
        served_since: float | None,
    ) -> None:
        missing = [tick for tick in due if (metric.name, tick) not in self._samples]
        if not missing:
            return
        measuring = Measuring(
            target=self.target,
            metric=metric,
            track=self.track,
            beside=self.beside,
            analysis=self.analysis,
            started_at=started_at,
            platform=platform,
            service=service,
            memory=self._memory[metric.name],
            open_client=self._open_client,
            served_since=served_since,
        )
        try:
            samples = await source_of(metric).samples(measuring, missing)
        except ReleaseError as error:
            samples = [Sample(metric=metric.name, at=tick, error=str(error)) for tick in missing]
        self._keep(samples)

    def _keep(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            self._samples[sample.metric, sample.at] = sample
        self._sorted = []


async def check_metrics(target: Target, metrics: Iterable[Metric], platform: Platform) -> None:
    """Look whether each metric can be measured there.

    :raises ReleaseError: for the first that cannot.
    """
    for metric in metrics:
        await source_of(metric).check(target, metric, platform)


async def look_at_stable(
    target: Target,
    stages: Iterable[Stage],
    platform: Platform,
    service: MetricsService,
    now: float,
    open_client: OpenClient | None = None,
) -> list[Lack]:
    """What stands in the way of judging these stages, as the numbers of a stable with traffic show it.

    A lack that keeps nothing from being decided is not certain.

    :param now: Unix time in seconds.
    """
    shortest: dict[tuple[str, str], tuple[Metric, Analysis, float]] = {}
    for stage in stages:
        longest = stage.hold.max + stage.analysis.unmeasured_patience
        for metric in stage.analysis.metrics:
            key = (metric.model_dump_json(), stage.analysis.model_dump_json())
            if source_of(metric).measurable(metric, target.workload):
                known = shortest.get(key, (metric, stage.analysis, math.inf))[2]
                shortest[key] = (metric, stage.analysis, min(known, longest))
    lacks: dict[str, Lack] = {}
    for metric, analysis, longest in shortest.values():
        decides = metric.critical and analysis.on_inconclusive != "continue"
        measuring = Measuring(
            target=target,
            metric=metric,
            track="stable",
            beside=None,
            analysis=analysis,
            started_at=now,
            platform=platform,
            service=service,
            longest=longest,
            open_client=open_client,
        )
        for lack in await source_of(metric).lacks(measuring):
            lacks.setdefault(lack.sentence, replace(lack, certain=lack.certain and decides))
    return list(lacks.values())


def ticks(started_at: float, interval: float, now: float, after: float = -math.inf) -> list[float]:
    """The measurement times that are due: ``started_at`` plus whole intervals, up to ``now`` (Unix times in seconds).

    They are absolute, so that a restart measures at the same times again (R6).

    :param after: only later ones than this.
    """
    first = max(1, int((max(after, started_at) - started_at) / interval))
    due = (started_at + k * interval for k in range(first, max(0, int((now - started_at) / interval)) + 2))
    return [tick for tick in due if after < tick <= now]
