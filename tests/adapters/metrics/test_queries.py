from __future__ import annotations

import math
import re
import shutil
import subprocess
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.adapters.metrics.sources._counters import Counter, growth, in_one_query
from release_pipelines.adapters.metrics.sources._requests import Requests, requests_to
from release_pipelines.adapters.metrics.sources.memory import memory_bytes
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.observation import Usage
from release_pipelines.core.model.target import RouterSettings, Target, Workload
from release_pipelines.core.ports.metrics import Measuring, source_of
from release_pipelines.core.promql import duration, escaped, sample_of
from tests.fakes import World

ERRORS = Metric(name="errors", source="errors", limit=0.01)
SLOW = Metric(name="slow", source="slow_requests", limit=0.01, slower_than=0.5)
CPU = Metric(name="cpu", source="cpu", limit=0.8)
MEMORY = Metric(name="memory", source="memory", limit=0.85)
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
        workload=Workload(**{"name": "storefront", "cpu": 0.5, "memory": "256Mi", **workload}),
        router=RouterSettings(kind=router, route="storefront", metrics_selector=selector),
        url="http://127.0.0.1:8000",
    )


def queries(where, metric, track, window):
    return source_of(metric).query(where, metric, track, window)


def counter(where, metric, track):
    source, requests = source_of(metric), requests_to(where, track)
    return source.counter(requests, metric) if requests and isinstance(source, Requests) else None


def test_failed_requests_at_traefik_are_zero_when_no_5xx_was_ever_counted():  # R3
    query = queries(target(), ERRORS, "canary", 30)
    service = 'service="storefront-production-canary@redis"'
    assert query.total == f"sum(increase(traefik_service_requests_total{{{service}}}[30s]))"
    failed = f'traefik_service_requests_total{{{service},code=~"5..|499"}}'
    assert query.bad == f"sum(increase({failed}[30s])) or vector(0)"


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


def counts_at_a_gateway(name, track, namespace="shop", app="storefront"):
    """Whether a service of Traefik counts for a track of an app."""
    where = target("gateway_api", name=app).model_copy(update={"namespace": namespace, "app": app})
    query = queries(where, ERRORS, track, 30).total or ""
    matcher = re.search(r'service=~"([^"]*)"', query)
    assert matcher
    return re.fullmatch(matcher[1].replace("\\\\", "\\"), name) is not None  # as PromQL reads it: anchored at both ends


NEW_NAME = (
    "httproute-{namespace}-{route}-gw-{namespace}-edge-ep-web-{rule}-svc-{namespace}-{service}-{n}@kubernetesgateway"
)
HASH = "1c0cf64bde37d9d0df06"
NAMES = {
    "3.0": "{namespace}-{service}-8080@kubernetesgateway",
    "3.1": "{namespace}-{service}-http-8080@kubernetesgateway",
    "3.1, gRPC": "{namespace}-{service}-grpc-8080@kubernetesgateway",
    "3.7": NEW_NAME.replace("{rule}", "0").replace("{n}", "1"),
    "3.7, the tenth of a rule": NEW_NAME.replace("{rule}", "12").replace("{n}", "10"),
    "3.7, with the rule's hash": NEW_NAME.replace("{rule}", f"0-{HASH}").replace("{n}", "0"),
}


@pytest.mark.parametrize("version", NAMES)
@pytest.mark.parametrize("namespace", ["shop", "team-shop", "shop-canary", "a--b"])
@pytest.mark.parametrize("app", ["shop", "shop-2", "svc", "store-front"])
def test_tracks_on_kubernetes_are_told_apart_by_their_services_in_every_version_of_traefik(version, namespace, app):
    name = NAMES[version].replace("{namespace}", namespace).replace("{route}", app)
    services = {"stable": app, "canary": f"{app}-canary", "preview": f"{app}-preview", "baseline": f"{app}-baseline"}
    for track in services:
        found = [
            other
            for other, service in services.items()
            if counts_at_a_gateway(name.replace("{service}", service), track, namespace, app)
        ]
        assert found == [track]
    for other in (f"{app}-2", f"{app}-canary-2", f"{app}-canary2", f"my-{app}", f"{app}s", f"0-svc-{app}"):
        for track in services:
            assert not counts_at_a_gateway(name.replace("{service}", other), track, namespace, app), other


@pytest.mark.parametrize("version", NAMES)
def test_the_same_service_in_another_namespace_counts_for_that_one(version):
    name = NAMES[version].replace("{route}", "storefront").replace("{service}", "storefront")
    for other in ("shop-2", "my-shop", "shops", "sho"):
        assert not counts_at_a_gateway(name.replace("{namespace}", other), "stable")


def test_one_dash_where_there_are_several_is_the_same_name():
    assert counts_at_a_gateway("a-b-shop-http-80@kubernetesgateway", "stable", "a--b", "shop")


RULE = "httproute-shop-storefront-gw-shop-web-ep-web-2-a3d12c9f351cbddc53d0"


@pytest.mark.parametrize(
    ("track", "service", "counts"),
    [
        ("stable", f"{RULE}-svc-shop-storefront-0", True),
        ("canary", f"{RULE}-svc-shop-storefront-canary-1", True),
        ("canary", "httproute-shop-other-gw-shop-web-ep-web-0-12060af6e0c892795674-svc-shop-storefront-canary-0", True),
        ("stable", f"{RULE}-svc-shop-storefront-canary-1", False),
        ("canary", f"{RULE}-svc-shop-storefront-canary-x-2", False),
        ("stable", f"{RULE}-svc-my-shop-storefront-0", False),
        ("stable", f"{RULE}-wrr", False),
        ("stable", "shop-storefront-8080", True),
        ("canary", "shop-storefront-canary-http-8080", True),
        ("stable", "shop-storefront-canary-8080", False),
    ],
)
def test_the_names_of_every_traefik_belong_to_one_track(track, service, counts):
    query = queries(target("gateway_api"), ERRORS, track, 30).total or ""
    pattern = query.partition('service=~"')[2].partition('"')[0]
    assert bool(re.fullmatch(pattern, f"{service}@kubernetesgateway")) is counts


def test_istio_counts_by_destination():
    query = queries(target("istio"), SLOW, "canary", 30)
    assert 'destination_service_name="storefront-canary"' in (query.total or "")
    assert 'destination_service_namespace="shop"' in (query.total or "")
    assert "istio_request_duration_milliseconds_bucket" in (query.bad or "")
    assert 'le=~"500([.]0)?"' in (query.bad or "")
    assert 'response_code=~"5..|499|0"' in (queries(target("istio"), ERRORS, "canary", 30).bad or "")


def test_cpu_and_memory_on_kubernetes_are_shares_of_the_limit():
    cpu = queries(target("istio"), CPU, "canary", 30).value or ""
    assert "container_cpu_usage_seconds_total" in cpu
    assert cpu.endswith(" / 0.5")
    assert 'pod=~"storefront-canary-[a-z0-9]+-[a-z0-9]{5}"' in cpu
    memory = queries(target("istio", container="web"), MEMORY, "stable", 30).value or ""
    assert memory.endswith(f" / {256 * 2**20}")
    assert 'container="web"' in memory


class Kubernetes:
    """A platform whose Deployment calls the app's container ``main``."""

    async def usage(self, target, track):
        return None

    async def container(self, target):
        return "main"


@pytest.mark.parametrize(("named", "found"), [(None, "main"), ("web", "web")])
async def test_a_sidecars_use_is_none_of_the_apps(named, found):
    asked = []

    class Service:
        async def query(self, promql, at):
            asked.append(promql)
            return 0.5

    analysis = Analysis(metrics=[MEMORY])
    where = target("istio", container=named)
    measuring = Measuring(where, MEMORY, "canary", "stable", analysis, 1000.0, Kubernetes(), service=Service())
    assert [it.value for it in await source_of(MEMORY).samples(measuring, [1010.0])] == [0.5]
    assert all(f'container="{found}"' in it for it in asked)


def test_without_a_look_at_the_deployment_the_container_is_called_like_the_workload():
    assert 'container="storefront"' in (queries(target("istio"), CPU, "canary", 30).value or "")


def test_without_a_limit_there_is_no_share():  # R3
    bare = target("istio", cpu=None, memory=None)
    assert queries(bare, CPU, "canary", 30).value is None
    assert queries(bare, MEMORY, "canary", 30).value is None


async def test_on_a_container_host_the_engine_reports_cpu_and_memory():
    world, analysis = World(), Analysis(metrics=READY_MADE)
    world.usage = Usage(cpu=0.4, memory=0.5)
    for metric, used in ((CPU, 0.4), (MEMORY, 0.5)):
        measuring = Measuring(target(), metric, "canary", "stable", analysis, 1000.0, world.platform(), service=None)
        assert [it.value for it in await source_of(metric).samples(measuring, [1010.0])] == [used]


def test_without_a_proxy_nothing_is_asked():
    query = queries(target("replicas"), ERRORS, "canary", 30)
    assert (query.bad, query.total, query.value) == (None, None, None)


def test_own_promql_gets_its_placeholders():
    metric = Metric(
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
            if found := counter(target(router, selector='cluster="eu"'), metric, "canary"):
                written.append(in_one_query({"all": (found.total, 300), "part": (found.part, 0)}))
    rules = "".join(f"  - record: rule:{n}\n    expr: |\n      {text}\n" for n, text in enumerate(written))
    (tmp_path / "rules.yml").write_text(f"groups:\n- name: all\n  rules:\n{rules}")
    checked = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


# --- raw counters -----------------------------------------------------------------------------------------------------

SERIES = st.lists(st.integers(0, 50), min_size=1, max_size=12)


def test_raw_counters_are_selected_by_track():
    service = 'service="storefront-production-canary@redis"'
    requests, seconds = "traefik_service_requests_total", "traefik_service_request_duration_seconds"
    assert counter(target(), ERRORS, "canary") == Counter(
        (f"{requests}{{{service}}}",), (f'{requests}{{{service},code=~"5..|499"}}',), part_is_good=False
    )
    assert counter(target(), SLOW, "canary") == Counter(
        (f"{seconds}_count{{{service}}}",), (f'{seconds}_bucket{{{service},le="0.5"}}',), part_is_good=True
    )


def test_raw_counters_are_the_ones_that_the_queries_count():
    for router, metric in product(("traefik", "gateway_api", "istio"), (ERRORS, SLOW)):
        found, query = counter(target(router), metric, "canary"), queries(target(router), metric, "canary", 30)
        assert found
        for text in found.total:
            assert f"increase({text}[30s])" in (query.total or "")
        for text in found.part:
            assert f"increase({text}[30s])" in (query.bad or "")


def test_what_no_proxy_counts_has_no_raw_counter():
    own = Metric(name="checkout", bad="b", total="t", limit=0.01)
    assert [counter(target(), it, "canary") for it in (CPU, MEMORY, own)] == [None, None, None]
    assert counter(target("replicas"), ERRORS, "canary") is None


@given(st.lists(SERIES, min_size=1, max_size=4), st.data())
def test_growth_counts_every_event_once_whatever_is_reset_and_whenever_it_is_read(increments, data):
    """Each series is a replica that counts its own events, begins anew now and then, and is read after every step."""
    length = max(map(len, increments))
    resets = data.draw(st.lists(st.tuples(st.integers(0, len(increments) - 1), st.integers(1, length)), max_size=3))
    values = dict.fromkeys(map(str, range(len(increments))), 0.0)
    known: dict[str, float] = {}
    before: dict[str, float] = {}
    counted = events = 0.0
    for tick in range(length):
        for n, steps in enumerate(increments):
            more = steps[tick] if tick < len(steps) else 0
            if (n, tick) in resets and values[
                str(n)
            ] > more:  # what a restart hides is a counter that passed its old value
                values[str(n)] = 0.0
            values[str(n)] += more
            events += more
        counted += growth(known, before, values, born_at_zero=True)
        before = dict(values)
    assert counted == events


def test_a_series_that_only_becomes_known_is_no_jump():
    assert growth({}, {}, {"a": 1000.0}, born_at_zero=False) == 0
    assert growth({}, {}, {"a": 3.0}, born_at_zero=True) == 3
    assert growth({"a": 1000.0}, {"a": 1000.0}, {"a": 1007.0, "b": 2.0}, born_at_zero=True) == 9


def test_a_series_that_fell_counts_from_zero_again():
    assert growth({"a": 1000.0}, {"a": 1000.0}, {"a": 4.0}, born_at_zero=False) == 4
    assert growth({"a": 10.0}, {"a": 10.0}, {"a": 8.0}, born_at_zero=False) == 8


def test_a_series_that_another_replica_has_not_seen_so_far_waits_until_it_has():
    known = {"a": 1000.0}
    assert growth(known, {"a": 940.0}, {"a": 990.0}, born_at_zero=False) == 0
    assert growth(known, {"a": 990.0}, {"a": 1020.0}, born_at_zero=False) == 20


def test_a_series_that_is_gone_adds_nothing():
    assert growth({"a": 1000.0, "b": 5.0}, {"a": 1000.0, "b": 5.0}, {"b": 6.0}, born_at_zero=True) == 1
