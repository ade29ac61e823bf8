from __future__ import annotations

import math
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.domain.metrics import duration, escaped, memory_bytes, queries, sample_of
from release_pipelines.domain.values import Target
from release_pipelines.spec.analysis import MetricSpec
from release_pipelines.spec.models import RouterSpec, WorkloadSpec

ERRORS = MetricSpec(name="errors", source="errors", limit=0.01)
SLOW = MetricSpec(name="slow", source="slow_requests", limit=0.01, slower_than=0.5)
CPU = MetricSpec(name="cpu", source="cpu", limit=0.8)
MEMORY = MetricSpec(name="memory", source="memory", limit=0.85)
READY_MADE = [ERRORS, SLOW, CPU, MEMORY]


def target(router="traefik", selector=None, **workload):
    return Target(
        app="storefront",
        environment="production",
        platform="container_host" if router == "traefik" else "kubernetes",
        platform_connection="host",
        registry_connection="registry",
        prometheus_connection="prometheus",
        namespace="shop",
        workload=WorkloadSpec(**{"name": "storefront", "cpu": 0.5, "memory": "256Mi", **workload}),
        router=RouterSpec(kind=router, route="storefront", metrics_selector=selector),
        url="http://127.0.0.1:8000",
    )


def test_failed_requests_at_traefik_are_zero_when_no_5xx_was_ever_counted():  # R3
    query = queries(target(), ERRORS, "canary", 30)
    service = 'service="storefront-production-canary@redis"'
    assert query.total == f"sum(increase(traefik_service_requests_total{{{service}}}[30s]))"
    assert query.bad == (f'sum(increase(traefik_service_requests_total{{{service},code=~"5.."}}[30s])) or vector(0)')


def test_slow_requests_are_all_minus_those_in_the_bucket():
    query = queries(target(), SLOW, "stable", 1.5)
    name = "traefik_service_request_duration_seconds"
    service = 'service="storefront-production-stable@redis"'
    assert query.total == f"sum(increase({name}_count{{{service}}}[1500ms]))"
    assert query.bad == f'clamp_min({query.total} - sum(increase({name}_bucket{{{service},le="0.5"}}[1500ms])), 0)'


def test_a_missing_bucket_must_not_look_like_no_slow_requests():  # R3
    assert "vector(0)" not in (queries(target(), SLOW, "canary", 30).bad or "")


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.5, 'le="0.5"'), (0.05, 'le="0.05"'), (1, 'le=~"1([.]0)?"'), (2.5, 'le="2.5"')]
)
def test_buckets_are_named_as_prometheus_prints_them(seconds, bucket):
    metric = SLOW.model_copy(update={"slower_than": seconds})
    assert bucket in (queries(target(), metric, "canary", 30).bad or "")


def test_tracks_on_kubernetes_are_told_apart_by_their_services():
    stable = queries(target("gateway_api"), ERRORS, "stable", 30).total or ""
    canary = queries(target("gateway_api"), ERRORS, "canary", 30).total or ""
    assert 'service=~"shop-storefront-(http-|grpc-)?[0-9]+@kubernetesgateway"' in stable
    assert 'service=~"shop-storefront-canary-(http-|grpc-)?[0-9]+@kubernetesgateway"' in canary


def test_istio_counts_by_destination():
    query = queries(target("istio"), SLOW, "canary", 30)
    assert 'destination_service_name="storefront-canary"' in (query.total or "")
    assert 'destination_service_namespace="shop"' in (query.total or "")
    assert "istio_request_duration_milliseconds_bucket" in (query.bad or "")
    assert 'le=~"500([.]0)?"' in (query.bad or "")
    assert 'response_code=~"5.."' in (queries(target("istio"), ERRORS, "canary", 30).bad or "")


def test_cpu_and_memory_on_kubernetes_are_shares_of_the_limit():
    cpu = queries(target("istio"), CPU, "canary", 30).value or ""
    assert "container_cpu_usage_seconds_total" in cpu
    assert cpu.endswith(" / 0.5")
    assert 'pod=~"storefront-canary-[a-z0-9]+-[a-z0-9]{5}"' in cpu
    memory = queries(target("istio", container="web"), MEMORY, "stable", 30).value or ""
    assert memory.endswith(f" / {256 * 2**20}")
    assert 'container="web"' in memory


def test_without_a_limit_there_is_no_share():  # R3
    bare = target("istio", cpu=None, memory=None)
    assert queries(bare, CPU, "canary", 30).value is None
    assert queries(bare, MEMORY, "canary", 30).value is None


def test_on_a_container_host_the_engine_reports_cpu_and_memory():
    for metric in (CPU, MEMORY):
        assert queries(target(), metric, "canary", 30).model_dump(exclude={"metric"}, exclude_none=True) == {}


def test_without_a_proxy_nothing_is_asked():
    query = queries(target("replicas"), ERRORS, "canary", 30)
    assert (query.bad, query.total, query.value) == (None, None, None)


def test_own_promql_gets_its_placeholders():
    metric = MetricSpec(
        name="checkout",
        bad='sum(increase(f{app="{{ app }}",env="{{environment}}"}[{{ window }}]))',
        total='sum(increase(t{track="{{track}}",ns="{{namespace}}"}[{{ window }}]))',
        limit=0.01,
    )
    query = queries(target(), metric, "canary", 30)
    assert query.bad == 'sum(increase(f{app="storefront",env="production"}[30s]))'
    assert query.total == 'sum(increase(t{track="canary",ns="shop"}[30s]))'


def test_more_label_matchers_are_added_to_every_request_query():
    for metric in (ERRORS, SLOW):
        query = queries(target(selector='cluster="eu"'), metric, "canary", 30)
        assert (query.bad or "").count('cluster="eu"') == (query.bad or "").count("increase(")
        assert 'cluster="eu"' in (query.total or "")


@given(st.text(alphabet='ab"\\\n', max_size=6))
def test_no_value_can_break_out_of_its_quotes(value):
    inner = escaped(value)
    assert "\n" not in inner
    assert inner.replace("\\\\", "").replace('\\"', "").replace("\\n", "").count('"') == 0


@given(st.floats(0.001, 1e5))
def test_a_window_is_written_to_the_millisecond(seconds):
    text = duration(seconds)
    found = float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])
    assert math.isclose(found, seconds, abs_tol=0.000501)


def test_a_sample_knows_its_share_only_when_both_counts_are_numbers():  # R3
    assert sample_of(ERRORS, 1, 1.0, 50.0, None).value == 0.02
    for bad, total in [(None, 50.0), (1.0, None), (0.0, 0.0), (math.nan, 5.0), (1.0, math.inf)]:
        assert sample_of(ERRORS, 1, bad, total, None).value is None
    assert sample_of(CPU, 1, None, None, 0.4).value == 0.4


def test_memory_in_bytes():
    assert [memory_bytes(text) for text in ("1Ki", "256Mi", "2Gi")] == [1024, 268435456, 2147483648]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_prometheus_can_read_every_query(tmp_path):
    written = []
    for router in ("traefik", "gateway_api", "istio"):
        for metric in READY_MADE:
            query = queries(target(router, selector='cluster="eu"'), metric, "canary", 2.5)
            written += [text for text in (query.bad, query.total, query.value) if text]
    rules = "".join(f"  - record: rule:{n}\n    expr: |\n      {text}\n" for n, text in enumerate(written))
    (tmp_path / "rules.yml").write_text(f"groups:\n- name: all\n  rules:\n{rules}")
    checked = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
