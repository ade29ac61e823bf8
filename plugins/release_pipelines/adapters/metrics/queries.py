"""PromQL of the ready-made metrics, for every router.

``increase()`` extrapolates to the window's edges: over a short window it gives 20.7 where 20 events were. Bad events
and all events are stretched alike, so shares hold; counts in sentences are rounded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.measurement import MetricQuery, Sample
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.promql import fill

_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def queries(target: Target, metric: Metric, track: Track, window: float) -> MetricQuery:
    """What to ask Prometheus about one metric on one track.

    :param window: seconds that the measurement looks back.
    :returns: a query with nothing set where Prometheus has no such numbers: CPU and memory on a container host come
        from the engine, and without a limit they are a share of nothing.
    """
    if metric.source is None:
        return _own(target, metric, track, window)
    if metric.source in ("cpu", "memory"):
        value = _usage(target, metric.source, track, window) if target.platform == "kubernetes" else None
        return MetricQuery(metric=metric, value=value)
    if target.router.kind == "replicas":
        return MetricQuery(metric=metric)
    bad, total = _requests(target, metric, track, duration(window))
    return MetricQuery(metric=metric, bad=bad, total=total)


class Counter(NamedTuple):
    """Two selectors of raw counters whose growth is counted exactly, series by series."""

    total: str
    """All events."""
    part: str
    """Bad ones; or good ones, where ``part_is_good``."""
    part_is_good: bool


def counter(target: Target, metric: Metric, track: Track) -> Counter | None:
    """What the sequential judge reads of a ready-made count; None where a team's own PromQL counts.

    Raw counters instead of ``increase()``, which extrapolates to the window's edges and misses a new series' first events.
    """
    if metric.source not in ("errors", "slow_requests") or target.router.kind == "replicas":
        return None
    names = _names(target, metric, track)
    if metric.source == "errors":
        return Counter(names.of(names.counter), names.of(names.counter, names.failed), part_is_good=False)
    fast = names.of(f"{names.histogram}_bucket", _bucket(names.bound))
    return Counter(names.of(f"{names.histogram}_count"), fast, part_is_good=True)


Series = Mapping[str, float]
"""Values of a selector's series at one moment, by labels."""


def growth(known: Series, now: Series, *, born_at_zero: bool) -> float:
    """Events between two looks at a counter's series.

    A series that fell was reset, and counts from 0 again; one that is gone adds nothing.

    :param known: each series' last known value.
    :param born_at_zero: a series that was not there before began at 0; else it only becomes known.
    """
    grown = 0.0
    for name, value in now.items():
        before = known.get(name)
        if before is None:
            grown += value if born_at_zero else 0.0
        else:
            grown += value - before if value >= before else value
    return grown


def sample_of(metric: Metric, at: float, bad: float | None, total: float | None, value: float | None) -> Sample:
    """The answers as a sample taken ``at`` (Unix time in seconds); for counts the value is bad out of total."""
    if metric.counts:
        known = bad is not None and total is not None and math.isfinite(bad) and math.isfinite(total) and total > 0
        value = bad / total if known else None  # type: ignore[operator]
    return Sample(metric=metric.name, at=at, value=value, bad=bad, total=total)


def duration(seconds: float) -> str:
    """Seconds as PromQL writes them: ``30s``, ``1500ms``."""
    millis = max(1, round(seconds * 1000))
    return f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"


def track_service(target: Target, track: Track) -> str:
    """The Service of a track on Kubernetes; stable has the workload's own."""
    name = target.workload.name or target.app
    return name if track == "stable" else f"{name}-{track}"


def _requests(target: Target, metric: Metric, track: Track, window: str) -> tuple[str, str]:
    """Failed or slow requests, and all of them.

    Failed: no 5xx means no series, hence ``or vector(0)``. Slow: all minus those in the bucket that ends at the limit;
    a bucket that does not exist leaves the answer empty, which is inconclusive and must stay so.
    """
    names = _names(target, metric, track)

    def counted(name: str, *more: str) -> str:
        return f"sum(increase({names.of(name, *more)}[{window}]))"

    if metric.source == "errors":
        return f"{counted(names.counter, names.failed)} or vector(0)", counted(names.counter)
    everything = counted(f"{names.histogram}_count")
    return f"clamp_min({everything} - {counted(f'{names.histogram}_bucket', _bucket(names.bound))}, 0)", everything


class _Names(NamedTuple):
    """How a router calls its metrics."""

    labels: list[str]
    counter: str
    histogram: str
    failed: str
    bound: float

    def of(self, name: str, *more: str) -> str:
        return f"{name}{{{','.join([*self.labels, *more])}}}"


def _names(target: Target, metric: Metric, track: Track) -> _Names:
    own = [target.router.metrics_selector] if target.router.metrics_selector else []
    if target.router.kind == "istio":
        # Reported by the source: it also sees a canary that does not answer at all.
        labels = [
            _is("reporter", "source"),
            _is("destination_service_namespace", target.namespace),
            _is("destination_service_name", track_service(target, track)),
        ]
        return _Names(
            [*labels, *own],
            "istio_requests_total",
            "istio_request_duration_milliseconds",
            'response_code=~"5.."',
            metric.slower_than * 1000,
        )
    return _Names(
        [_traefik_service(target, track), *own],
        "traefik_service_requests_total",
        "traefik_service_request_duration_seconds",
        'code=~"5.."',
        metric.slower_than,
    )


def _traefik_service(target: Target, track: Track) -> str:
    if target.platform == "container_host":
        return _is("service", f"{target.app}-{target.environment}-{track}@redis")
    # Traefik 3.7 names a backend after the rule that sends to it, a hash of the rule, and the backend's place in the rule:
    # `httproute-<route>-gw-<gateway>-ep-<entry point>-<rule>-<hash>-svc-<namespace>-<service>-<place>`. Earlier ones named it
    # `<namespace>-<service>-<port>`, or with the protocol before the port.
    backend = re.escape(f"{target.namespace}-{track_service(target, track)}").replace(r"\-", "-")
    rule = "(httproute-.+-[0-9a-f]{20}-svc-)?"
    return f'service=~"{rule}{escaped(backend)}-(http-|grpc-)?[0-9]+@kubernetesgateway"'


def _bucket(bound: float) -> str:
    """The bucket that ends at ``bound``; whole numbers are written ``1`` or ``1.0``, depending on who writes them."""
    text = f"{bound:.12g}"
    return f'le=~"{text}([.]0)?"' if text.isdigit() else _is("le", text)


def _usage(target: Target, source: str, track: Track, window: float) -> str | None:
    """The busiest container of the track as a share of its limit (cAdvisor)."""
    workload = target.workload
    container = _is("container", workload.container) if workload.container else 'container!="",container!="POD"'
    # A Deployment's pods: its name, the pod template's hash, five letters. Neither of the last two has a dash.
    pods = f'pod=~"{track_service(target, track)}-[a-z0-9]+-[a-z0-9]{{5}}"'
    labels = f"{{{_is('namespace', target.namespace)},{pods},{container}}}"
    if source == "cpu":
        if workload.cpu is None:
            return None
        used = f"sum by (pod, container) (rate(container_cpu_usage_seconds_total{labels}[{duration(window)}]))"
        return f"max({used}) / {workload.cpu:.12g}"
    if workload.memory is None:
        return None
    return f"max(container_memory_working_set_bytes{labels}) / {memory_bytes(workload.memory)}"


def memory_bytes(text: str) -> int:
    """``256Mi`` in bytes."""
    return int(text[:-2]) * _UNITS[text[-2:]]


def _own(target: Target, metric: Metric, track: Track, window: float) -> MetricQuery:
    values = {
        "app": target.app,
        "track": track,
        "namespace": escaped(target.namespace),
        "environment": target.environment,
        "window": duration(window),
    }
    bad, total, value = (fill(text, values) if text else None for text in (metric.bad, metric.total, metric.query))
    return MetricQuery(metric=metric, bad=bad, total=total, value=value)


def _is(label: str, value: str) -> str:
    return f'{label}="{escaped(value)}"'


def escaped(value: str) -> str:
    """A label value as it stands between double quotes in PromQL."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
