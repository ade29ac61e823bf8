"""What each data plane counts of a track, asked of Prometheus' own evaluation of the queries: all, failed, and no other track's."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.metrics.sources._counters import in_one_query
from release_pipelines.adapters.metrics.sources._requests import requests_to
from release_pipelines.core.model.analysis import Metric
from release_pipelines.core.model.target import RouterSettings, Target, Workload
from release_pipelines.core.ports.metrics import METRIC_DIALECTS, source_of
from release_pipelines.core.promql import scrape_interval

ERRORS = Metric(name="errors", source="errors", limit=0.01)
SLOW = Metric(name="slow", source="slow_requests", limit=0.01, slower_than=0.5)

promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


def target(dialect: str) -> Target:
    return Target(
        app="shop",
        environment="production",
        platform="container_host" if dialect == "traefik" else "kubernetes",
        platform_connection="host",
        registry_connection="registry",
        prometheus_connection="prometheus",
        namespace="ns",
        workload=Workload(name="shop"),
        router=RouterSettings(kind="traefik" if dialect == "traefik" else "gateway_api", route="shop", dialect=dialect),
        url="http://127.0.0.1:8000",
    )


ISTIO = (
    'istio_requests_total{{reporter="{by}",destination_service_namespace="ns",destination_service_name="{it}",'
    'response_code="{code}",response_flags="{flags}"{more}}}'
)


def istio(by: str, it: str, code: str, flags: str = "-", grpc: str | None = None) -> str:
    more = "" if grpc is None else f',grpc_response_status="{grpc}"'
    return ISTIO.format(by=by, it=it, code=code, flags=flags, more=more)


def counted_by_istio(by: str) -> dict[str, list[str]]:
    return {
        "good": [
            istio(by, "shop-canary", "200"),
            istio(by, "shop-canary", "404"),
            istio(by, "shop-canary", "200", "-", "5"),
        ],
        "bad": [
            istio(by, "shop-canary", "503", "UH"),
            istio(by, "shop-canary", "0", "DC"),
            istio(by, "shop-canary", "200", "DC"),
            istio(by, "shop-canary", "200", "-", "14"),
        ],
        "other": [istio(by, "shop", "500"), istio("destination", "shop-canary", "500")],
    }


def requests(name: str, common: str, good: list[str], bad: list[str], other: list[str]) -> dict[str, list[str]]:
    """Series of one counter, by their labels."""
    made = {"good": [f"{common},{it}" for it in good], "bad": [f"{common},{it}" for it in bad], "other": other}
    return {kind: [f"{name}{{{labels}}}" for labels in found] for kind, found in made.items()}


POD = "shop-canary-6d4cf56db6-abcde"
HTTP, RPC = "http_server_request_duration_seconds_count", "rpc_server_call_duration_seconds_count"
SERIES: dict[str, dict[str, list[str]]] = {
    "traefik": requests(
        "traefik_service_requests_total",
        'service="shop-production-canary@redis"',
        ['code="200"', 'code="404"'],
        ['code="502"', 'code="499"'],
        ['service="shop-production-stable@redis",code="500"'],
    ),
    "traefik_gateway_api": requests(
        "traefik_service_requests_total",
        'service="ns-shop-canary-http-80@kubernetesgateway"',
        ['code="200"', 'code="301"'],
        ['code="500"', 'code="499"'],
        ['service="ns-shop-http-80@kubernetesgateway",code="500"'],
    ),
    "istio": counted_by_istio("source"),
    "istio_waypoint": counted_by_istio("waypoint"),
    "envoy": requests(
        "envoy_cluster_upstream_rq_xx",
        'envoy_cluster_name="ns_shop-canary_80"',
        ['envoy_response_code_class="2"', 'envoy_response_code_class="4"'],
        ['envoy_response_code_class="5"'],
        [
            'envoy_cluster_name="ns_shop_80",envoy_response_code_class="5"',
            'envoy_cluster_name="my-ns_shop-canary_80",envoy_response_code_class="5"',
            'envoy_cluster_name="outbound|80||shop.ns.svc.cluster.local",envoy_response_code_class="5"',
        ],
    ),
    "nginx_ingress": requests(
        "nginx_ingress_controller_requests",
        'exported_namespace="ns",exported_service="shop-canary",namespace="ingress",service="ingress-metrics"',
        ['status="200"', 'status="404"'],
        ['status="503"', 'status="499"'],
        ['exported_namespace="ns",exported_service="shop",namespace="ingress",service="ingress-metrics",status="500"'],
    ),
    "nginx_gateway_fabric": requests(
        "nginx_http_upstream_peer_responses_total",
        'nginx_upstream_name="ns_shop-canary_80",nginx_peer_address="10.0.0.1:80"',
        ['nginx_status_range="2xx"', 'nginx_status_range="4xx"'],
        ['nginx_status_range="5xx"'],
        ['nginx_upstream_name="ns_shop_80",nginx_status_range="5xx"'],
    ),
    "linkerd": requests(
        "response_total",
        'direction="outbound",dst_namespace="ns",dst_deployment="shop-canary"',
        ['classification="success",status_code="200"', 'classification="success",status_code="404"'],
        ['classification="failure",status_code="200",grpc_status="13"', 'classification="failure",status_code="500"'],
        [
            'direction="outbound",dst_namespace="ns",dst_deployment="shop",classification="failure"',
            'direction="inbound",dst_namespace="ns",dst_deployment="shop-canary",classification="failure"',
        ],
    ),
    "opentelemetry_http": requests(
        HTTP,
        f'namespace="ns",pod="{POD}"',
        ['http_response_status_code="200"', 'http_response_status_code="404",error_type="404"'],
        ['http_response_status_code="500",error_type="500"', 'error_type="ECONNRESET"'],
        ['namespace="ns",pod="shop-6d4cf56db6-abcde",http_response_status_code="500"'],
    ),
    "opentelemetry_rpc": requests(
        RPC,
        f'k8s_namespace_name="ns",k8s_pod_name="{POD}"',
        ['rpc_response_status_code="OK"', 'rpc_response_status_code="NOT_FOUND"'],
        ['rpc_response_status_code="UNAVAILABLE"', 'rpc_response_status_code="CANCELLED"'],
        ['k8s_namespace_name="ns",k8s_pod_name="shop-6d4cf56db6-abcde",rpc_response_status_code="INTERNAL"'],
    ),
}
MORE = {  # the same counted where Prometheus or the gateway was set up in another way
    "istio's gateway": (
        "envoy",
        requests(
            "envoy_cluster_upstream_rq_xx",
            'envoy_cluster_name="outbound|80||shop-canary.ns.svc.cluster.local;"',
            ['envoy_response_code_class="2"'],
            ['envoy_response_code_class="5"'],
            ['envoy_cluster_name="outbound|80||shop-canary.ns2.svc.cluster.local",envoy_response_code_class="5"'],
        ),
    ),
    "labels that are honoured": (
        "nginx_ingress",
        requests(
            "nginx_ingress_controller_requests",
            'namespace="ns",service="shop-canary"',
            ['status="200"'],
            ['status="500"'],
            [],
        ),
    ),
    "resource attributes": (
        "opentelemetry_http",
        requests(
            HTTP,
            f'k8s_namespace_name="ns",k8s_pod_name="{POD}"',
            ['http_response_status_code="200"'],
            ['http_response_status_code="503"'],
            [],
        ),
    ),
}
CASES = {**{name: (name, series) for name, series in SERIES.items()}, **MORE}


def evaluated(tmp_path: Path, series: dict[str, str], numbers: dict[str, float | None], every: str = "15s") -> None:
    """Assert what Prometheus makes of queries at 5 minutes.

    :param series: values by series, as promtool writes them.
    :param numbers: what each query gives; None: nothing.
    """
    expected = [
        {
            "expr": query,
            "eval_time": "5m",
            "exp_samples": [] if number is None else [{"labels": "{}", "value": number}],
        }
        for query, number in numbers.items()
    ]
    test: dict[str, Any] = {
        "interval": every,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": expected,
    }
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": [], "evaluation_interval": every, "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_dialect_is_tried_here() -> None:
    assert set(SERIES) == set(METRIC_DIALECTS.names())


@promtool
@pytest.mark.parametrize("case", CASES)
def test_requests_of_a_track_are_counted_once_and_failed_ones_are_known(case: str, tmp_path: Path) -> None:
    dialect, counted = CASES[case]
    where = target(dialect)
    found = requests_to(where, "canary")
    assert found
    source: Any = source_of(ERRORS)
    counter, query = source.counter(found, ERRORS), source.query(where, ERRORS, "canary", 60)
    series = {name: "0+15x40" for names in counted.values() for name in names}  # one a second
    bad, total = len(counted["bad"]), len(counted["bad"]) + len(counted["good"])
    evaluated(
        tmp_path,
        series,
        {
            f"sum({in_one_query({'bad': (counter.part, 300)})})": 300.0 * bad,
            f"sum({in_one_query({'all': (counter.total, 0)})})": 300.0 * total,
            f"sum({in_one_query({'bad': (counter.part, 300), 'all': (counter.total, 300)})})": 300.0 * (bad + total),
            query.bad: 60.0 * bad,
            query.total: 60.0 * total,
        },
    )


@promtool
@pytest.mark.parametrize("dialect", [it for it in SERIES if it != "nginx_gateway_fabric"])
def test_slow_requests_are_those_past_the_bucket(dialect: str, tmp_path: Path) -> None:
    where = target(dialect)
    found = requests_to(where, "canary")
    assert found
    labels = ",".join(found.labels).replace("=~", "=")
    for pattern, one in PATTERNS.items():
        labels = labels.replace(pattern, one)
    bound = f"{0.5 * found.per_second:g}"
    name = found.histogram
    series = {
        f"{name}_count{{{labels}}}": "0+15x40",
        f'{name}_bucket{{{labels},le="{bound}"}}': "0+12x40",
        f'{name}_bucket{{{labels},le="+Inf"}}': "0+15x40",
    }
    query = source_of(SLOW).query(where, SLOW, "canary", 60)  # type: ignore[attr-defined]
    evaluated(tmp_path, series, {query.total: 60.0, query.bad: 12.0})


def matcher_of(dialect: str) -> str:
    found = requests_to(target(dialect), "canary")
    assert found
    return next(it for it in found.labels if "=~" in it).partition('=~"')[2].removesuffix('"')


PATTERNS = {
    matcher_of("traefik_gateway_api"): "ns-shop-canary-http-80@kubernetesgateway",
    matcher_of("envoy"): "ns_shop-canary_80",
    matcher_of("opentelemetry_http"): POD,
}


def test_a_data_plane_that_only_has_averages_has_no_slow_requests() -> None:
    class Here:
        name, platform, router = "production", "kubernetes", target("nginx_gateway_fabric").router

    (mistake,) = source_of(SLOW).mistakes("metrics[0]", SLOW, [Here()])
    assert mistake[2] == "another metric: `nginx_gateway_fabric` (production) has no histogram of durations"
    assert not list(source_of(ERRORS).mistakes("metrics[0]", ERRORS, [Here()]))


@pytest.mark.parametrize(("dialect", "fits"), [("envoy", False), ("linkerd", True), ("opentelemetry_rpc", True)])
def test_behind_one_service_only_pods_tell_the_tracks_apart(dialect: str, fits: bool) -> None:
    class Here:
        name, platform, router = "production", "kubernetes", RouterSettings(kind="replicas", dialect=dialect)

    found = [it[2] for it in source_of(ERRORS).mistakes("metrics[0]", ERRORS, [Here()])]
    assert (found == []) is fits
    assert all("one Service has the pods of both versions, which `envoy` does not tell apart" in it for it in found)


@promtool
@pytest.mark.parametrize(
    ("every", "values", "seconds"),
    [
        ("15s", "0+1x40", 15.0),
        ("30s", "0+1x20", 30.0),
        ("60s", "0+1x10", 60.0),
        ("15s", "_x17 0+1x4", 15.0),  # young: at 255 s for the first time
        ("1s", "0+1x400", 1.0),
    ],
)
def test_how_often_there_is_a_scrape_is_seen_in_the_data(
    every: str, values: str, seconds: float, tmp_path: Path
) -> None:
    query = scrape_interval(['app_total{track="stable"}', 'failed_total{track="stable"}'])
    evaluated(tmp_path, {'app_total{track="stable"}': values}, {query: seconds}, every)


@promtool
@pytest.mark.parametrize("values", ["_x985 0+1x15", "_x997 0+1x3", "0+1x1000"])
def test_scrapes_that_follow_each_other_fast_are_seen_in_a_series_that_is_young_too(
    values: str, tmp_path: Path
) -> None:
    query = scrape_interval(['app_total{track="stable"}', 'failed_total{track="stable"}'])
    evaluated(tmp_path, {'app_total{track="stable"}': values}, {f"({query}) < bool 1": 1.0}, "300ms")


@promtool
def test_without_data_nobody_knows_how_often_they_come(tmp_path: Path) -> None:
    evaluated(tmp_path, {"other": "0+1x40"}, {scrape_interval(["app_total"]): None})
