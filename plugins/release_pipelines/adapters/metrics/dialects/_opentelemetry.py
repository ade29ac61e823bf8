"""What OpenTelemetry's conventions for servers have in common: one histogram of durations, whose count is that of all requests.

A request without a status has an ``error_type``: the client went away, or the server failed before it could answer.
"""

from __future__ import annotations

from release_pipelines.adapters.metrics.services import pod_labels
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import RequestMetrics


def requests_of(target: Target, track: Track, histogram: str, status: str, failed: str) -> RequestMetrics:
    """Requests by pod.

    :param histogram: its name.
    :param status: label of what was answered.
    :param failed: regular expression of its values that are failures.
    """
    labels, *elsewhere = pod_labels(target, track)
    return RequestMetrics(
        labels=labels,
        elsewhere=tuple(elsewhere),
        counter=f"{histogram}_count",
        failed=f'{status}=~"{failed}"',
        also_failed=(f'{status}="",error_type!=""',),
        histogram=histogram,
    )
