"""An Application Load Balancer of AWS, by CloudWatch: requests to the target group of each track.

Source: AWS, "CloudWatch metrics for your Application Load Balancer". What is counted of a target group: ``RequestCount``,
``HTTPCode_Target_5XX_Count``, ``TargetConnectionErrorCount`` (a request that reached no target) and ``TargetResponseTime``. Other errors
of the load balancer itself (``HTTPCode_ELB_5XX_Count``) are counted of all target groups together, and so tell no track from another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from release_pipelines.adapters.metrics.cloudwatch import PERIOD, MinuteMetrics, Minutes, Statistic
from release_pipelines.core.errors import BadQuery, MetricsUnavailable
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import Lack, Measuring, MetricSource
from release_pipelines.core.promql import sample_of

NAMESPACE = "AWS/ApplicationELB"
PUBLISHED_SECONDS = 120
"""So long after its end a minute is looked at, in seconds: then CloudWatch has it."""
RECENT_SECONDS = 900
"""How far a look at stable goes back, in seconds."""
REQUESTS = Statistic("RequestCount", "Sum")
FAILED = (Statistic("HTTPCode_Target_5XX_Count", "Sum"), Statistic("TargetConnectionErrorCount", "Sum"))


class AlbOptions(BaseModel):
    """What a metric of a load balancer says of it."""

    model_config = ConfigDict(extra="forbid")

    measure: Literal["errors", "latency"] = Field(
        "errors", description="Failed requests out of all, or a percentile of the targets' response time in seconds"
    )
    load_balancer: str = Field(
        pattern=r"^app/[^/]+/[^/]+$", description="The end of its ARN, like app/shop/50dc6c495c0c9188"
    )
    target_groups: dict[Track, str] = Field(
        description="The end of the ARN of each track's target group, like targetgroup/shop-canary/943f017f100becff"
    )
    percentile: float = Field(99, gt=0, lt=100, description="For latency")
    connection: str = Field("aws_default", description="Airflow connection of type `aws`")
    region: str | None = Field(None, description="Default: the connection's")


class Alb(MetricSource):
    """Counts by minutes of the clock that lie in the stage, each once it is published."""

    options = AlbOptions

    def counts(self, metric: Metric) -> bool:
        return bool(metric.options.get("measure", "errors") == "errors")

    def unit(self, metric: Metric) -> Literal["share", "number"]:
        return "share" if self.counts(metric) else "number"

    def label(self, metric: Metric) -> str:
        return "error rate" if self.counts(metric) else f"response time (p{_options(metric).percentile:g}, in seconds)"

    async def samples(self, measuring: Measuring, due: list[float]) -> list[Sample]:
        tracks: list[Track] = [measuring.track, *([measuring.beside] if measuring.beside else [])]
        first = _minute_from(measuring.started_at)
        if due[-1] < first + PERIOD + PUBLISHED_SECONDS:
            return [_sample(measuring, tick, [[] for _ in tracks]) for tick in due]
        start = max(first, _minute_from(due[0] - _span(measuring) - PERIOD - PUBLISHED_SECONDS))
        answers = [await _minutes(measuring, track, start, due[-1]) for track in tracks]
        samples = []
        for tick in due:
            published = [_published(first, tick, _span(measuring), minutes) for minutes in answers]
            samples.append(_sample(measuring, tick, published))
        return samples

    async def lacks(self, measuring: Measuring) -> list[Lack]:
        metric, options, now = measuring.metric, _options(measuring.metric), measuring.started_at
        needed = 2 * PERIOD + PUBLISHED_SECONDS + measuring.analysis.interval
        lacks = []
        if needed > measuring.longest:
            patience = math.ceil(measuring.analysis.unmeasured_patience + needed - measuring.longest)
            lacks.append(
                Lack(
                    f"Metric {metric.name} is counted minute by minute: a step needs {needed:g} s to measure it and ends after "
                    f"{measuring.longest:g} s, so `patience: {patience}s` in its analysis is expected.",
                    certain=True,
                )
            )
        wanted = _statistics(measuring)[0].metric
        (recent, *_) = await _minutes(measuring, "stable", now - RECENT_SECONDS, now)
        if recent:
            return lacks
        group = options.target_groups.get("stable")
        wrong = f"Metric {metric.name}: CloudWatch has no {wanted} of {group} at {options.load_balancer}"
        known = await (await _service(measuring)).known(NAMESPACE, _dimensions(measuring, "stable"), wanted)
        if known:
            return [
                *lacks,
                Lack(f"{wrong} in the last {RECENT_SECONDS // 60} minutes; it comes with requests.", certain=False),
            ]
        return [
            *lacks,
            Lack(
                f"{wrong}: `options.load_balancer`, `options.target_groups.stable` and `options.region` of the load balancer that "
                "people come by are expected.",
                certain=True,
            ),
        ]


METRIC_SOURCE = Alb()


def _options(metric: Metric) -> AlbOptions:
    return AlbOptions.model_validate(metric.options)


def _statistics(measuring: Measuring) -> list[Statistic]:
    if METRIC_SOURCE.counts(measuring.metric):
        return [REQUESTS, *FAILED]
    return [Statistic("TargetResponseTime", f"p{_options(measuring.metric).percentile:g}")]


def _dimensions(measuring: Measuring, track: Track) -> dict[str, str]:
    options = _options(measuring.metric)
    group = options.target_groups.get(track)
    if group is None:
        raise BadQuery(f"metric {measuring.metric.name}: `options.target_groups.{track}` is expected")
    return {"TargetGroup": group, "LoadBalancer": options.load_balancer}


async def _service(measuring: Measuring) -> MinuteMetrics:
    if measuring.open_client is None:
        raise MetricsUnavailable("nobody opens CloudWatch here")
    if "service" not in measuring.memory:
        options = _options(measuring.metric)
        measuring.memory["service"] = await measuring.open_client("cloudwatch", options.connection, options.region)
    service: MinuteMetrics = measuring.memory["service"]
    return service


async def _minutes(measuring: Measuring, track: Track, start: float, end: float) -> list[Minutes]:
    dimensions = _dimensions(measuring, track)
    return await (await _service(measuring)).minutes(NAMESPACE, dimensions, _statistics(measuring), start, end)


def _minute_from(at: float) -> float:
    """The first minute of the clock that begins not before ``at`` (Unix times in seconds)."""
    return math.ceil(at / PERIOD) * PERIOD


def _span(measuring: Measuring) -> float:
    """How far a measurement looks back: to the one before, where every event has to be counted once; else over the window."""
    once = JUDGES.get(measuring.analysis.judge).exact_counts and METRIC_SOURCE.counts(measuring.metric)
    return measuring.analysis.interval if once else max(measuring.analysis.window, PERIOD)


def _published(first: float, tick: float, span: float, minutes: list[Minutes]) -> list[list[float]]:
    """The values of the minutes that were published within ``span`` seconds before ``tick``: all statistics of each minute.

    :param first: beginning of the stage's first whole minute.
    """
    last = tick - PERIOD - PUBLISHED_SECONDS
    begins = sorted(at for at in minutes[0] if first <= at <= last and at > last - span)
    return [[it.get(at, 0.0) for it in minutes] for at in begins]


def _sample(measuring: Measuring, tick: float, tracks: Sequence[list[list[float]]]) -> Sample:
    """What was published of the judged track and, where there is one, of the track beside it."""
    own, *beside = tracks
    if not METRIC_SOURCE.counts(measuring.metric):
        return sample_of(measuring.metric, tick, None, None, own[-1][0] if own else None)
    return sample_of(measuring.metric, tick, *_counted(own), None, *map(_counted, beside[:1]))


def _counted(minutes: list[list[float]]) -> tuple[float | None, float | None]:
    """Bad requests and all; None where no minute has any."""
    if not minutes:
        return None, None
    total = sum(requests for requests, *_ in minutes)
    return min(total, sum(sum(failed) for _, *failed in minutes)), total
