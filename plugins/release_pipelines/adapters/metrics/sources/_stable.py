"""A look at the requests of a stable that has traffic: what the data plane counts of them, and what it lacks."""

from __future__ import annotations

import json

from release_pipelines.adapters.metrics.sources._requests import counts_pods, requests_to, union
from release_pipelines.core.model.target import Target
from release_pipelines.core.ports.metrics import METRIC_DIALECTS, Lack, Measuring, MetricsService, RequestMetrics
from release_pipelines.core.ports.router import router_of
from release_pipelines.core.sentences import either

RECENT = "5m"
"""How far a look goes back: one scrape that failed is no lack."""


async def lack_of_requests(measuring: Measuring) -> Lack | None:
    """Why the requests to stable are not counted; None: they are."""
    target, service, now = measuring.target, measuring.service, measuring.started_at
    requests = requests_to(target, "stable")
    if requests is None or await _there(service, requests.all_requests, now):
        return None
    wrong = f"Metric {measuring.metric.name}: Prometheus has no {requests.counter} of stable in {target.environment}"
    known = await _there(service, [it for it in (requests.counter, requests.alive) if it], now)
    other = await _other(target, service, now, by_service=known)
    if other:
        return Lack(
            f"{wrong}, but `{other}` counts its requests: `router.dialect: {other}` is expected in {target.environment}.yaml.",
            certain=True,
        )
    if known:
        return Lack(f"{wrong}; it comes with the first request.", certain=False)
    every = either([f"`{name}`" for name in METRIC_DIALECTS.names()])
    return Lack(
        f"{wrong}, and none of anything else: a scrape of what counts the requests, or `router.dialect` of one of {every} in "
        f"{target.environment}.yaml is expected.",
        certain=True,
    )


async def lack_of_bucket(measuring: Measuring, requests: RequestMetrics, bucket: list[str]) -> Lack | None:
    """Why slow requests cannot be told: no bucket of the histogram ends at the bound; None: one does.

    :param bucket: selectors of the bucket.
    """
    service, now, metric = measuring.service, measuring.started_at, measuring.metric
    if await _there(service, bucket, now):
        return None
    name = f"{requests.histogram}_bucket"
    wrong = f"Metric {metric.name}: no bucket of {requests.histogram} ends at {metric.slower_than:g} s"
    for selectors in (requests.selectors(name), [name]):
        found = (await service.series(f"count by (le) ({_recent(selectors)})", now, now, 1.0))[0]
        bounds = sorted(float(json.loads(labels).get("le", "inf")) / requests.per_second for labels in found)
        finite = [f"{it:g} s" for it in bounds if it != float("inf")]
        if metric.slower_than in bounds:
            return None
        if finite:
            return Lack(
                f"{wrong}: `slower_than` of {either(finite)} is expected, or such a bucket in the data plane's settings.",
                certain=True,
            )
    if await _there(service, [requests.counter], now):
        return Lack(f"{wrong}, and it has no other bucket: a histogram with buckets is expected there.", certain=True)
    return None


async def _other(target: Target, service: MetricsService, now: float, *, by_service: bool) -> str | None:
    """Another dialect that has stable's requests.

    :param by_service: only one whose requests come past what has traffic now; the app itself counts whoever asks it.
    """
    pods_only = router_of(target.router).pods_make_weight
    for name, dialect in METRIC_DIALECTS.usable():
        if (by_service or pods_only) and counts_pods(dialect) is not pods_only:
            continue
        settings = target.router.model_copy(update={"dialect": name})
        requests = requests_to(target.model_copy(update={"router": settings}), "stable")
        if requests and await _there(service, requests.all_requests, now, grown=by_service):
            return name
    return None


async def _there(service: MetricsService, selectors: list[str], now: float, *, grown: bool = False) -> bool:
    if grown:
        increases = union([f"increase({it}[{RECENT}])" for it in selectors])
        return bool(await service.query(f"sum({increases})", now))
    return bool(await service.query(f"count({_recent(selectors)})", now))


def _recent(selectors: list[str]) -> str:
    return union([f"last_over_time({it}[{RECENT}])" for it in selectors])
