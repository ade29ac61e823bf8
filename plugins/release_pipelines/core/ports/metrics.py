"""Where measurements come from: sources, the service that they ask, and how data planes name what they count."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from release_pipelines.core.seams import Seam

if TYPE_CHECKING:
    from pydantic import BaseModel

    from release_pipelines.core.model.analysis import Analysis, Metric
    from release_pipelines.core.model.measurement import Sample
    from release_pipelines.core.model.mistake import Mistake
    from release_pipelines.core.model.target import RouterSettings, Target, Workload
    from release_pipelines.core.model.track import Track
    from release_pipelines.core.ports.platform import Platform


class MetricsService(Protocol):
    """What answers PromQL. Both raise :class:`~release_pipelines.core.errors.MetricsUnavailable`."""

    async def query(self, promql: str, at: float) -> float | None:
        """The query's one number at Unix time ``at``; None when the answer is empty or not finite."""

    async def series(self, promql: str, start: float, end: float, step: float) -> list[dict[str, float]]:
        """Every series' value at ``start``, ``start + step``, … up to ``end`` (Unix times in seconds), by its labels."""


OpenMetrics = Callable[[str], Awaitable[MetricsService]]
"""Opens the metrics service of a connection id."""

OpenClient = Callable[[str, str, str | None], Awaitable[Any]]
"""Opens another service than that: its kind, like ``cloudwatch``, a connection id, and a region, where it has several."""


class Place(Protocol):
    """An environment, as far as a metric has to fit it."""

    @property
    def name(self) -> str: ...

    @property
    def platform(self) -> str: ...

    @property
    def router(self) -> RouterSettings: ...


@dataclass(frozen=True)
class Measuring:
    """One metric in one stage, and all that is needed to measure it.

    :param track: what is judged.
    :param beside: what it is compared with; None: nothing.
    :param started_at: Unix time in seconds at which the stage's traffic was accepted.
    :param memory: the source's own, from one call to the next in this stage; empty after a restart.
    :param longest: seconds that such a stage may take, with its patience.
    :param open_client: opens the service of a source that asks another one; None: nobody does.
    :param served_since: Unix time in seconds at which the track got its first requests in this release; None: at the stage's start.
    """

    target: Target
    metric: Metric
    track: Track
    beside: Track | None
    analysis: Analysis
    started_at: float
    platform: Platform
    service: MetricsService
    memory: dict[Any, Any] = field(default_factory=dict)
    longest: float = math.inf
    open_client: OpenClient | None = None
    served_since: float | None = None


@runtime_checkable
class MetricSource(Protocol):
    """Measures metrics that name it as their ``source``."""

    events: ClassVar[str] = "requests"
    """What it counts, in sentences."""
    options: ClassVar[type[BaseModel] | None] = None
    """Model of the metric's ``options``; None: it takes none."""

    def counts(self, metric: Metric) -> bool:
        """Whether it measures bad events out of all events, else a gauge."""

    def label(self, metric: Metric) -> str:
        """The metric in a sentence."""

    def unit(self, metric: Metric) -> Literal["share", "number"]:
        """Whether its values are shares, like 0.01 for 1 %."""
        return "share"

    def uncounted(self, metric: Metric) -> str:
        """Why there may be no number of bad events where all events were counted."""
        return "bad events could not be counted"

    def measurable(self, metric: Metric, workload: Workload) -> bool:
        """Whether a limit means anything for this workload."""
        return True

    def mistakes(self, where: str, metric: Metric, places: Sequence[Place]) -> Iterator[Mistake]:
        """What is wrong with a metric in these environments.

        :param where: the metric's path in the file.
        """
        yield from ()

    async def check(self, target: Target, metric: Metric, platform: Platform) -> None:
        """Look before a release begins whether this can be measured there.

        :raises ReleaseError: with one sentence, when it cannot.
        """
        return

    async def lacks(self, measuring: Measuring) -> list[Lack]:
        """What stands in the way of measuring it, as the numbers of a stable with traffic show it.

        :param measuring: with stable as its track, and now as its start.
        """
        return []

    async def samples(self, measuring: Measuring, due: list[float]) -> list[Sample]:
        """One sample for each of these moments (Unix times in seconds, in order).

        They are the same after a restart. A number that does not exist is None; where nobody could be asked, the sample
        has an error. A ReleaseError counts as that error of all samples. Where many are due at once, a sample may stand for those before
        it that have none, if it counts their events, too, or nobody can say any more what was then.
        """


@dataclass(frozen=True)
class Lack:
    """Why a metric cannot be measured, as a look at stable has shown.

    :param sentence: what is missing, and which key mends it.
    :param certain: it can never be measured so; else the numbers may only come with traffic.
    """

    sentence: str
    certain: bool


@dataclass(frozen=True)
class RequestMetrics:
    """How a data plane names the requests to one track.

    :param labels: matchers of that track, like ``service="shop-production-canary@redis"``.
    :param counter: name of the counter of all requests.
    :param failed: matcher of failed ones.
    :param histogram: name of the histogram of their durations, without ``_bucket`` and ``_count``; empty: it has none.
    :param per_second: what a second is in that histogram.
    :param also_failed: matchers of more failed ones; a request fits one of them and ``failed`` at most.
    :param given_up: name of the counter of requests that got no answer, where ``counter`` does not count them; empty: it does.
    :param elsewhere: matchers that stand in place of ``labels`` where Prometheus was set up in another way.
    :param alive: a metric that the data plane has before the first request.
    """

    labels: tuple[str, ...]
    counter: str
    failed: str
    histogram: str = ""
    per_second: float = 1
    also_failed: tuple[str, ...] = ()
    given_up: str = ""
    elsewhere: tuple[tuple[str, ...], ...] = ()
    alive: str = ""

    def selector(self, name: str, *more: str) -> str:
        """The series of that name, with more matchers."""
        return f"{name}{{{','.join([*self.labels, *more])}}}"

    def selectors(self, name: str, *more: str) -> list[str]:
        """The same, wherever the labels are."""
        return [f"{name}{{{','.join([*labels, *more])}}}" for labels in (self.labels, *self.elsewhere)]

    @property
    def all_requests(self) -> list[str]:
        """Selectors that have every request once."""
        return [*self.selectors(self.counter), *(self.selectors(self.given_up) if self.given_up else [])]

    @property
    def failed_requests(self) -> list[str]:
        """Selectors that have every failed request once."""
        answered = [it for failed in (self.failed, *self.also_failed) for it in self.selectors(self.counter, failed)]
        return [*answered, *(self.selectors(self.given_up) if self.given_up else [])]

    def with_labels(self, more: str) -> RequestMetrics:
        """The same, with a matcher more everywhere."""
        return replace(self, labels=(*self.labels, more), elsewhere=tuple((*labels, more) for labels in self.elsewhere))


@runtime_checkable
class MetricDialect(Protocol):
    """Knows the names of one data plane's metrics.

    One that has ``counts_pods = True`` tells tracks by their pods, and so also where one Service has the pods of all of them; one with
    ``has_durations = False`` has no histogram of them.
    """

    def requests(self, target: Target, track: Track) -> RequestMetrics:
        """What it counts of a track's requests."""


METRIC_SOURCES: Seam[MetricSource] = Seam(
    "metric_source",
    "release_pipelines.adapters.metrics.sources",
    MetricSource,
    first=("errors", "slow_requests", "cpu", "memory"),
)
METRIC_DIALECTS: Seam[MetricDialect] = Seam(
    "metric_dialect", "release_pipelines.adapters.metrics.dialects", MetricDialect
)


def source_of(metric: Metric) -> MetricSource:
    """What measures a metric: the source that it names, or its own PromQL.

    :raises ExtensionError: when that source cannot be loaded.
    """
    return _source(metric.source)


@cache
def _source(name: str | None) -> MetricSource:
    if name is not None:
        return METRIC_SOURCES.get(name)
    from release_pipelines.core.promql import OWN_PROMQL  # it needs the models, which need this module

    return OWN_PROMQL
