"""Routers as pure functions: what a patch changes, and what it never touches."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.adapters.kubernetes.annotations import changed_by, fence_of, note_of
from release_pipelines.adapters.kubernetes.router import Backends, applies, route_patch
from release_pipelines.adapters.routers.gateway_api import GatewayApi
from release_pipelines.adapters.routers.istio import Istio
from release_pipelines.adapters.routers.replicas import Replicas
from release_pipelines.core.capacity import TOLERANCE, pods_for_weight, share
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import Match, Traffic, share_with
from release_pipelines.core.ports.router import ROUTERS

WEB = Backends("web", "shop", 8080, 3, {"canary": 1}, stable_pin=("pod-template-hash", "abc"))
weights = st.integers(0, 100)


def http_route(*refs: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "resourceVersion": "7", "annotations": {"team": "shop"}},
        "spec": {
            "hostnames": ["web.example"],
            "rules": [
                {"matches": [{"path": {"value": "/old"}}], "backendRefs": [{"name": "old", "port": 80}]},
                {"filters": [{"type": "RequestMirror"}], "backendRefs": list(refs)},
            ],
        },
    }


def virtual_service(*hosts: str, **more: Any) -> dict[str, Any]:
    entries = [{"destination": {"host": host, "subset": "v1"}, "headers": {"request": {}}} for host in hosts]
    return {
        "metadata": {"name": "web", "resourceVersion": "7"},
        "spec": {
            "gateways": ["edge"],
            "http": [{"route": [{"destination": {"host": "old"}}]}, {"retries": {}, "route": entries}],
            **more,
        },
    }


def after(route: dict[str, Any], router: Any, traffic: int | Traffic, backends: Backends = WEB) -> dict[str, Any]:
    """The route as it stands after the patch; a number is the canary's weight."""
    split = traffic if isinstance(traffic, Traffic) else share_with("canary", traffic)
    patch = route_patch(route, router, backends, split, RouteNote(traffic=split), 3)
    merged = copy.deepcopy(route)
    for key in ("metadata", "spec"):
        _merge(merged.setdefault(key, {}), patch[key])
    return merged


def _merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        elif value is None:
            into.pop(key, None)
        else:
            into[key] = value


@given(steps=st.lists(weights, min_size=1, max_size=6), kind=st.sampled_from(["gateway_api", "istio"]))
def test_after_any_steps_the_weights_are_those_of_the_last_and_add_up_to_100(steps: list[int], kind: str) -> None:  # R5
    route = http_route({"name": "web", "port": 8080}) if kind == "gateway_api" else virtual_service("web")
    foreign = copy.deepcopy(route)
    router = ROUTERS.get(kind)
    for weight in steps:
        route = after(route, router, weight)
        found = router.traffic(route, WEB, None)
        assert (found.weight("stable"), found.weight("canary")) == (100 - weight, weight)
        assert changed_by(route, found) is None
    assert fence_of(route) == 3
    assert note_of(route) == RouteNote(traffic=share_with("canary", steps[-1]))
    rules = "rules" if kind == "gateway_api" else "http"
    assert route["spec"][rules][0] == foreign["spec"][rules][0]
    inside = {"backendRefs", "route"}
    assert [{k: v for k, v in it.items() if k not in inside} for it in route["spec"][rules]] == [
        {k: v for k, v in it.items() if k not in inside} for it in foreign["spec"][rules]
    ]
    assert {k: v for k, v in route["spec"].items() if k != rules} == {
        k: v for k, v in foreign["spec"].items() if k != rules
    }


def test_group_and_kind_stand_in_every_backend_and_the_canary_has_stables_port() -> None:
    refs = after(http_route({"name": "web", "port": 8080}), GatewayApi(), 25)["spec"]["rules"][1]["backendRefs"]
    assert refs == [
        {"group": "", "kind": "Service", "name": "web", "port": 8080, "weight": 75},
        {"group": "", "kind": "Service", "name": "web-canary", "port": 8080, "weight": 25},
    ]


@pytest.mark.parametrize("form", ["web", "web.shop", "web.shop.svc.cluster.local"])
def test_a_destination_is_known_in_each_form_of_its_host_and_the_canary_has_no_subset(form: str) -> None:
    entries = after(virtual_service(form), Istio(), 25)["spec"]["http"][1]["route"]
    assert entries[1]["destination"] == {"host": form.replace("web", "web-canary", 1)}
    assert entries[0]["destination"]["subset"] == "v1"


@pytest.mark.parametrize(("router", "route"), [(GatewayApi(), http_route()), (Istio(), virtual_service("web.other"))])
def test_a_route_that_does_not_name_stable_is_refused_in_a_sentence(router: Any, route: dict[str, Any]) -> None:
    with pytest.raises(PlatformError, match="that sends to Service web: one is expected"):
        router.spec(route, WEB, share_with("canary", 10))


def test_a_rule_that_also_sends_to_others_is_refused_in_a_sentence() -> None:
    with pytest.raises(PlatformError, match="also sends traffic to other"):
        GatewayApi().spec(http_route({"name": "web"}, {"name": "other"}), WEB, share_with("canary", 10))


def test_rules_that_disagree_show_the_weight_that_is_not_wanted() -> None:  # R14
    route = after(http_route({"name": "web", "port": 8080}), GatewayApi(), 25)
    route["spec"]["rules"].append({"backendRefs": [{"name": "web", "port": 8080}]})
    assert GatewayApi().traffic(route, WEB, share_with("canary", 25)).weight("canary") == 0


def test_who_changed_the_weights_is_the_last_other_writer() -> None:  # R14
    route = after(http_route({"name": "web"}), GatewayApi(), 25)
    route["metadata"]["managedFields"] = [
        {"manager": "release-pipelines", "time": "2026-01-01T00:00:09Z"},
        {"manager": "flux", "time": "2026-01-01T00:00:07Z"},
        {"manager": "kubectl", "time": "2026-01-01T00:00:05Z"},
    ]
    assert changed_by(route, share_with("canary", 40)) == "flux"
    assert changed_by(route, share_with("canary", 25)) is None


def test_without_a_mesh_the_selector_takes_all_none_or_both() -> None:
    service = {"metadata": {"resourceVersion": "1"}, "spec": {"selector": {"app": "web"}}}
    for weight, selector in (
        (0, {"app": "web", "pod-template-hash": "abc"}),
        (25, {"app": "web"}),
        (100, {"app": "web", "release-pipelines/track": "canary"}),
        (25, {"app": "web"}),
    ):
        service = after(service, Replicas(), weight)
        assert service["spec"]["selector"] == selector
        assert Replicas().traffic(service, WEB, share_with("canary", weight)).weight("canary") == weight


def test_without_a_mesh_a_weight_that_the_pods_do_not_make_is_refused() -> None:
    service = {"metadata": {"resourceVersion": "1"}, "spec": {"selector": {"app": "web"}}}
    with pytest.raises(PlatformError, match=r"1 canary pods beside 3 stable pods make 25.0 %"):
        Replicas().spec(service, WEB, share_with("canary", 50))


def test_an_applied_patch_changes_nothing_any_more() -> None:
    route = http_route({"name": "web", "port": 8080})
    done = after(route, GatewayApi(), 25)
    again = route_patch(
        done, GatewayApi(), WEB, share_with("canary", 25), RouteNote(traffic=share_with("canary", 25)), 3
    )
    assert applies(again, done)
    assert not applies(again, route)


@given(stable=st.integers(1, 200), weight=weights)
def test_whole_pods_are_within_the_tolerance_or_refused(stable: int, weight: int) -> None:
    exact = stable * weight / max(1, 100 - weight)
    shares = [share(stable, pods) for pods in (int(exact), int(exact) + 1) if pods]
    if 0 < weight < 100 and min(abs(it - weight) for it in shares) > TOLERANCE + 1e-6:
        with pytest.raises(ValueError, match="cannot make a weight"):
            pods_for_weight(stable, weight)
        return
    canary = pods_for_weight(stable, weight)
    if weight == 100:
        assert canary == stable
    elif weight == 0:
        assert canary == 0
    else:
        assert canary >= 1
        assert abs(share(stable, canary) - weight) <= TOLERANCE + 1e-6


@pytest.mark.parametrize(("stable", "weight", "canary"), [(9, 10, 1), (3, 25, 1), (2, 50, 2), (4, 20, 1), (19, 5, 1)])
def test_the_pods_of_common_weights(stable: int, weight: int, canary: int) -> None:
    assert pods_for_weight(stable, weight) == canary


def test_a_refusal_says_how_many_pods_would_do() -> None:
    with pytest.raises(ValueError, match=r"2 stable pods cannot make a weight of 10 %.*33.3 %.*9 stable pods can"):
        pods_for_weight(2, 10)


FOREIGN = {"gateway_api": http_route({"name": "web", "port": 8080}), "istio": virtual_service("web")}
SPLITS = [
    Traffic(weights={"stable": 100}, testers=Match(kind="header", name="X-Tester", value="yes")),
    Traffic(weights={"stable": 100}, testers=Match(kind="cookie", name="tester", value="a.b")),
    Traffic(weights={"stable": 100}, mirror=100),
    Traffic(weights={"stable": 80, "canary": 10, "baseline": 10}),
    Traffic(weights={"preview": 100}),
]


@pytest.mark.parametrize("kind", ["gateway_api", "istio"])
@pytest.mark.parametrize("split", SPLITS)
def test_every_split_is_read_back_and_leaves_nothing_behind(kind: str, split: Traffic) -> None:  # R14
    router, foreign = ROUTERS.get(kind), FOREIGN[kind]
    before = after(foreign, router, 0)
    route = after(before, router, split)
    assert router.traffic(route, WEB, None).same(split)
    assert changed_by(route, router.traffic(route, WEB, None)) is None
    assert after(route, router, 0)["spec"] == before["spec"]


@pytest.mark.parametrize(
    ("kind", "split", "said"),
    [
        ("gateway_api", Traffic(weights={"stable": 100}, mirror=20), "mirrors all requests or none"),
        ("gateway_api", Traffic(weights={"stable": 100}, sticky=True), "`gateway_api` cannot keep a client"),
        ("istio", Traffic(weights={"stable": 100}, sticky=True), "`istio` cannot keep a client"),
        ("replicas", SPLITS[0], "`replicas` chooses between pods"),
    ],
)
def test_what_a_router_cannot_do_is_refused_with_its_name(kind: str, split: Traffic, said: str) -> None:  # R12
    with pytest.raises(PlatformError, match=said):
        ROUTERS.get(kind).spec(FOREIGN.get(kind, {}), WEB, split)
