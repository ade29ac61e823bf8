"""What a cluster may have beside the gateway that these tests bring: other gateways, and metrics of pods.

A test of what the cluster has not is skipped, and says what is missing. Where KUBERNETES_TEST_WITH names it (like
``contour,istio,metrics``) it has to be there: it is waited for, and the test fails without it.
"""

from __future__ import annotations

import functools
import os
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from tests.kubernetes.conftest import CONTEXT

WAIT_SECONDS = 600.0
"""How long something that has to be there, and may still be built, is waited for."""
METRICS_API = "metrics"

RouterKind = Literal["gateway_api", "istio", "replicas"]


@dataclass(frozen=True)
class DataPlane:
    """A gateway.

    :param router: what states its weights.
    :param url: where requests go in; empty: as the tests' own.
    :param metrics: where Prometheus finds what it counts.
    :param dialect: how that is named; None: as the router says.
    :param parent: what a route says of the gateway that it is for.
    :param named_as: what Prometheus makes of its names (``metric_relabel_configs``).
    :param supports: what a team says on its route that the controller can do (``release-pipelines/supports``).
    """

    router: RouterKind = "gateway_api"
    url: str = ""
    metrics: str = ""
    dialect: str | None = None
    parent: dict[str, Any] = field(default_factory=dict)
    named_as: list[dict[str, Any]] = field(default_factory=list)
    supports: str = ""


_SPLIT_NAME = "envoy_cluster_release_test_([0-9a-f]+)_svc_cluster_local_+(.+)"
ISTIO_NAMES: list[dict[str, Any]] = [
    {
        "source_labels": ["envoy_cluster_name", "__name__"],
        "regex": f"(.+);{_SPLIT_NAME}",
        "target_label": "envoy_cluster_name",
        "replacement": "${1}.release-test-${2}.svc.cluster.local;",
    },
    {
        "source_labels": ["__name__"],
        "regex": _SPLIT_NAME,
        "target_label": "__name__",
        "replacement": "envoy_cluster_${2}",
    },
]
"""Istio tells its Envoys how to take the names of clusters out of those of metrics. One that it only leads cuts them at the first
dot, and leaves the rest in the metric's name."""
TRAEFIK = DataPlane()
PLANES = {
    "contour": DataPlane(
        "gateway_api",
        "http://127.0.0.1:18080",
        "127.0.0.1:18002",
        "envoy",
        {"name": "contour", "namespace": "projectcontour"},
        supports="mirror",
    ),
    "istio": DataPlane(
        "istio",
        "http://127.0.0.1:18081",
        "127.0.0.1:15000",
        "envoy",
        {"gateways": ["istio-system/edge"]},
        named_as=ISTIO_NAMES,
    ),
}
FOUND_BY = {
    "contour": ("GatewayClass contour", ("get", "gatewayclass", "contour")),
    "istio": (
        "Gateway istio-system/edge of Istio",
        ("get", "gateways.networking.istio.io", "edge", "-n", "istio-system"),
    ),
    METRICS_API: ("metrics API (metrics.k8s.io)", ("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")),
}
"""What each is called in a sentence, and how a cluster is asked for it."""


def planes(*names: str) -> pytest.MarkDecorator:
    """A test for each of these gateways."""
    return pytest.mark.parametrize("plane", [pytest.param(name, marks=needs(name)) for name in names])


@functools.cache
def needs(name: str) -> pytest.MarkDecorator:
    """Skips a test where the cluster has not what it needs."""
    must = name in os.environ.get("KUBERNETES_TEST_WITH", "").split(",")
    end = time.monotonic() + WAIT_SECONDS
    while not (there := _there(name)) and must and time.monotonic() < end:
        time.sleep(1)
    return pytest.mark.skipif(not there and not must, reason=f"the cluster has no {FOUND_BY[name][0]}")


def _there(name: str) -> bool:
    command = ["kubectl", f"--context={CONTEXT}", "--request-timeout=5s", *FOUND_BY[name][1]]
    if not CONTEXT or subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
        return False
    return name not in PLANES or _answers(f"http://{PLANES[name].metrics}/stats/prometheus")


def _answers(url: str) -> bool:
    """Its proxy runs; the port for requests may be opened with the first route only."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
