"""What Istio's standard metrics have in common, whichever of its proxies reports them.

Source: Istio's documentation, "Istio Standard Metrics". ``response_flags`` are Envoy's: ``DC`` is a client that went away, which has no
response code (0) or, in the middle of an answer, that of the answer.
"""

from __future__ import annotations

from release_pipelines.adapters.metrics.dialects._grpc import NUMBERS
from release_pipelines.adapters.metrics.services import track_service
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.metrics import RequestMetrics
from release_pipelines.core.promql import matcher

CODES = "5..|499|0"
GONE = "(.*,)?DC(,.*)?"


def requests_of(target: Target, track: Track, reporter: str) -> RequestMetrics:
    """Requests by their destination's Service.

    :param reporter: whose view it is.
    """
    return RequestMetrics(
        labels=(
            matcher("reporter", reporter),
            matcher("destination_service_namespace", target.namespace),
            matcher("destination_service_name", track_service(target, track)),
        ),
        counter="istio_requests_total",
        failed=f'response_code=~"{CODES}"',
        also_failed=(
            f'response_code!~"{CODES}",grpc_response_status=~"{NUMBERS}"',
            f'response_code!~"{CODES}",grpc_response_status!~"{NUMBERS}",response_flags=~"{GONE}"',
        ),
        histogram="istio_request_duration_milliseconds",
        per_second=1000,
        alive="istio_build",
    )
