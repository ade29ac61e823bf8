"""``/releases/metrics``: the measures for Prometheus, out of the history: a restart changes none of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from release_pipelines.core.calendars.zones import zone
from release_pipelines.core.delivery.deployments import Deployment
from release_pipelines.core.delivery.measures import Measures, Span, measures
from release_pipelines.pages.app import Looking
from release_pipelines.pages.deliveries import visible
from release_pipelines.pages.html import NOT_KEPT

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

router = APIRouter()

DAYS = 30
"""The span of every sample: today and the days before it, in UTC."""
KEPT_SECONDS = 15.0
"""How old they may be, in seconds."""
LABELS = ("app", "environment")
GAUGES = {
    "deployments": ("deployed", "Releases that reached all traffic"),
    "attempts": ("attempts", "Releases that reached users, and ended"),
    "failed": ("failed", "Deployments that had to be put right"),
    "rework": ("rework", "Deployments that put another one right"),
    "change_fail_ratio": ("change_fail_rate", "Share of attempts that failed"),
    "rework_ratio": ("rework_rate", "Share of attempts that put another one right"),
    "lead_time_seconds": ("lead_time", "Median time from a commit to all traffic"),
    "lead_time_commits": ("commits", "Commits in the median of the lead time"),
    "recovery_seconds": ("recovery_time", "Median time from harm to its end"),
    "recovered": ("recovered", "Failures in the median of the recovery time"),
    "not_recovered": ("not_recovered", "Failures that nobody has put right yet"),
}
"""Names behind ``release_delivery_`` to fields of :class:`Measures`."""


@router.get("/metrics")
def scrape(request: Request, viewer: Looking) -> Response:
    """The measures of each app in each environment that the account may see."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    found = visible(request.app.state.deliveries.known(KEPT_SECONDS), viewer)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(found))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST, headers=NOT_KEPT)


class Collector:
    """The samples of some deployments."""

    def __init__(self, found: Sequence[Deployment]) -> None:
        self._parts: dict[tuple[str, str], list[Deployment]] = {}
        for it in found:
            self._parts.setdefault((it.attempt.app, it.attempt.environment), []).append(it)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Each gauge with its samples. What has no value has no sample."""
        from prometheus_client.core import GaugeMetricFamily

        span = last_days()
        lines = {where: measures(found, span) for where, found in sorted(self._parts.items())}
        for name, (key, words) in GAUGES.items():
            family = GaugeMetricFamily(f"release_delivery_{name}", f"{words}, in the last {DAYS} days.", labels=LABELS)
            for where, it in lines.items():
                value = _value(it, key)
                if value is not None:
                    family.add_metric(list(where), value)
            yield family


def last_days() -> Span:
    """The span of the samples: whole days in UTC, today as far as it goes."""
    rules: Any = zone("UTC")
    tomorrow = datetime.fromtimestamp(time.time(), rules).date() + timedelta(days=1)
    return Span(tomorrow - timedelta(days=DAYS), tomorrow, rules)


def _value(it: Measures, key: str) -> float | None:
    value: float | None = getattr(it, key)
    return value
