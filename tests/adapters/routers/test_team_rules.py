"""What a team has in its route beside what a release states: it stays as it is, byte for byte, or the release is refused before it begins."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.annotations import TRAFFIC
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from release_pipelines.core.ports.router import ROUTERS
from tests.adapters.routers.test_routers import WEB, after

SHOP = replace(WEB, app="shop")
TESTERS = Traffic(weights={"stable": 100}, testers=Match(kind="header", name="X-Tester", value="yes"))
COOKIE = Traffic(weights={"stable": 100}, testers=Match(kind="cookie", name="tester", value="yes"))
MIRRORED = Traffic(weights={"stable": 100}, mirror=100)
STEPS = [share_with("canary", 10), TESTERS, MIRRORED, COOKIE, share_with("canary", 100), share_with("canary", 50)]


def http_route() -> dict[str, Any]:
    service = {"group": "", "kind": "Service"}
    audit = {"type": "RequestMirror", "requestMirror": {"backendRef": {**service, "name": "audit", "port": 80}}}
    added = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-by", "value": "web"}]}}
    spec = {
        "parentRefs": [{"name": "edge"}],
        "rules": [
            {
                "name": "legacy",
                "matches": [{"path": {"type": "PathPrefix", "value": "/old"}}],
                "backendRefs": [{**service, "name": "old", "port": 80, "weight": 1}],
            },
            {
                "name": "region",
                "matches": [{"headers": [{"type": "Exact", "name": "x-z-region", "value": "eu"}]}],
                "timeouts": {"request": "3s"},
                "retry": {"attempts": 2},
                "filters": [added, audit],
                "backendRefs": [
                    {**service, "name": "spare", "port": 80, "weight": 0},
                    {**service, "name": "web", "port": 8080, "weight": 100, "filters": [added]},
                ],
            },
            {"name": "web", "backendRefs": [{**service, "name": "web", "port": 8080, "weight": 100}]},
        ],
    }
    return {"kind": "HTTPRoute", "metadata": {"name": "edge", "resourceVersion": "1"}, "spec": spec}


def virtual_service() -> dict[str, Any]:
    web = {"host": "web", "subset": "v1", "port": {"number": 8080}}
    spec = {
        "hosts": ["web.example"],
        "http": [
            {"name": "legacy", "match": [{"uri": {"prefix": "/old"}}], "route": [{"destination": {"host": "old"}}]},
            {
                "name": "preview",
                "match": [{"authority": {"exact": "preview.web.example"}}],
                "route": [{"destination": {"host": "web-preview"}}],
            },
            {
                "name": "region",
                "match": [{"headers": {"x-z-region": {"exact": "eu"}}}],
                "timeout": "3s",
                "retries": {"attempts": 2},
                "mirrors": [{"destination": {"host": "audit"}, "percentage": {"value": 5}}],
                "route": [
                    {"destination": {"host": "spare"}, "weight": 0},
                    {"destination": web, "weight": 100, "headers": {"request": {"set": {"x-by": "web"}}}},
                ],
            },
            {"name": "web", "fault": {"delay": {"fixedDelay": "1s"}}, "route": [{"destination": web, "weight": 100}]},
        ],
    }
    return {"kind": "VirtualService", "metadata": {"name": "edge", "resourceVersion": "1"}, "spec": spec}


ROUTES = {"gateway_api": (http_route, "rules"), "istio": (virtual_service, "http")}
kinds = pytest.mark.parametrize("kind", ROUTES)


def stored(route: dict[str, Any]) -> dict[str, Any]:
    """As an API server gives it back: keys of maps in their order."""
    found = json.loads(json.dumps(route, sort_keys=True))
    assert isinstance(found, dict)
    return found


@kinds
def test_what_is_the_teams_comes_through_a_release_byte_for_byte(kind: str) -> None:
    router, (make, rules) = ROUTERS.get(kind), ROUTES[kind]
    team, route = make(), make()
    for step in [*STEPS, *STEPS[::-1], ALL_TO_STABLE]:
        route = stored(after(route, router, step, SHOP))
        assert router.traffic(route, SHOP, step).same(step), step
        named = [it["name"] for it in route["spec"][rules]]
        assert len(named) == len(set(named))
        assert [it for it in named if "testers" not in it] == [it["name"] for it in team["spec"][rules]]
        assert not step.testers or [it for it in named if it.startswith("shop.release-pipelines.testers-")]
        legacy = next(it for it in route["spec"][rules] if it["name"] == "legacy")
        assert legacy == team["spec"][rules][0]
    assert route["spec"] == team["spec"]


@kinds
def test_testers_come_where_the_teams_own_order_of_rules_sends_them(kind: str) -> None:
    router, (make, rules) = ROUTERS.get(kind), ROUTES[kind]
    written = after(make(), router, TESTERS, SHOP)["spec"][rules]
    first, second = (f"shop.release-pipelines.testers-{it}" for it in (0, 1))
    order = {
        "gateway_api": [first, "legacy", "region", second, "web"],  # order counts among rules with as many headers
        "istio": ["legacy", "preview", first, "region", second, "web"],
    }
    assert [it["name"] for it in written] == order[kind]
    by_name = {it["name"]: it for it in written}
    for key in {"timeouts", "retry"} if kind == "gateway_api" else {"timeout", "retries"}:
        assert by_name[first][key] == by_name["region"][key]


@kinds
def test_rules_for_testers_that_an_earlier_version_added_are_told_and_removed(kind: str) -> None:
    """It gave them the name of the rule that it copied, put them first, and wrote whom they are for beside the note."""
    router, (make, rules) = ROUTERS.get(kind), ROUTES[kind]
    team = make()
    route = after(team, router, TESTERS, SHOP)
    own = [it for it in route["spec"][rules] if "testers" in it["name"]]
    for it, name in zip(own, ("region", "web"), strict=True):
        it["name"] = name
    route["spec"][rules] = [*own, *(it for it in route["spec"][rules] if it not in own)]
    assert router.traffic(stored(route), SHOP, TESTERS).same(TESTERS)
    assert after(stored(route), router, ALL_TO_STABLE, SHOP)["spec"] == team["spec"]


@kinds
def test_where_rules_have_no_names_those_of_a_release_are_told_by_what_was_written(kind: str) -> None:
    router, (make, rules) = ROUTERS.get(kind), ROUTES[kind]
    team = make()
    for rule in team["spec"][rules]:
        del rule["name"]
    route = after(team, router, TESTERS, SHOP)
    for rule in route["spec"][rules]:
        rule.pop("name", None)
    assert router.traffic(stored(route), SHOP, TESTERS).same(TESTERS)
    route = after(stored(route), router, share_with("canary", 10), SHOP)
    assert len(route["spec"][rules]) == len(team["spec"][rules])
    assert after(route, router, ALL_TO_STABLE, SHOP)["spec"] == team["spec"]


@kinds
def test_a_rule_for_testers_that_somebody_changed_or_removed_is_drift(kind: str) -> None:  # R14
    router, (make, rules) = ROUTERS.get(kind), ROUTES[kind]
    for change in ("remove", "send elsewhere"):
        route = after(make(), router, TESTERS, SHOP)
        own = next(it for it in route["spec"][rules] if "testers" in it["name"])
        if change == "remove":
            route["spec"][rules].remove(own)
        else:
            key = "backendRefs" if kind == "gateway_api" else "route"
            own[key] = copy.deepcopy(route["spec"][rules][-1][key])
        assert not router.traffic(route, SHOP, TESTERS).same(TESTERS)
        assert not router.traffic(route, SHOP, ALL_TO_STABLE).same(ALL_TO_STABLE)
        assert after(route, router, ALL_TO_STABLE, SHOP)["spec"] == make()["spec"]


def twice(kind: str) -> dict[str, Any]:
    """Stable's host has two entries in a rule, as with two subsets or two ports."""
    make, rules = ROUTES[kind]
    route = make()
    key = "backendRefs" if kind == "gateway_api" else "route"
    first = route["spec"][rules][-1][key][0]
    other = {**first, "port": 8443} if kind == "gateway_api" else {"destination": {"host": "web", "subset": "v2"}}
    route["spec"][rules][-1][key] = [{**first, "weight": 70}, {**other, "weight": 30}]
    return route


@kinds
def test_a_rule_with_two_entries_of_stable_is_refused_and_stays_as_it_is_without_a_split(kind: str) -> None:
    router, route = ROUTERS.get(kind), twice(kind)
    with pytest.raises(PlatformError, match=r"(?i)rule \d of .* edge sends to stable's Service 2 times"):
        router.spec(route, SHOP, share_with("canary", 10))
    assert after(route, router, ALL_TO_STABLE, SHOP)["spec"] == route["spec"]


@kinds
def test_the_way_back_is_there_whatever_somebody_adds_meanwhile(kind: str) -> None:
    router, (make, rules) = ROUTERS.get(kind), ROUTES[kind]
    route = after(make(), router, share_with("canary", 50), SHOP)
    key = "backendRefs" if kind == "gateway_api" else "route"
    added = {"name": "new", "port": 80, "weight": 20}
    route["spec"][rules][-1][key].append(added if kind == "gateway_api" else {"destination": added, "weight": 20})
    back = after(route, router, ALL_TO_STABLE, SHOP)
    assert router.traffic(back, SHOP, ALL_TO_STABLE).same(ALL_TO_STABLE)
    weights = [it["weight"] for it in back["spec"][rules][-1][key]]
    assert weights == [100, 20]


@kinds
@pytest.mark.parametrize("split", [TESTERS, COOKIE], ids=["header", "cookie"])
def test_a_rule_that_asks_for_the_testers_header_already_is_refused(kind: str, split: Traffic) -> None:
    make, rules = ROUTES[kind]
    route = make()
    name = "X-Tester" if split is TESTERS else "cookie"
    if kind == "gateway_api":
        route["spec"][rules][1]["matches"][0]["headers"][0]["name"] = name
    else:
        route["spec"][rules][2]["match"][0]["headers"] = {name.lower(): {"exact": "no"}}
    with pytest.raises(PlatformError, match=r"(?i)has a condition for header (x-tester|cookie) already"):
        ROUTERS.get(kind).spec(route, SHOP, split)


def test_more_rules_than_the_gateway_api_takes_are_refused() -> None:
    route = http_route()
    route["spec"]["rules"] = [{**route["spec"]["rules"][-1], "name": f"r{it}"} for it in range(9)]
    router = ROUTERS.get("gateway_api")
    assert router.spec(route, SHOP, share_with("canary", 10))
    with pytest.raises(PlatformError, match=r"HTTPRoute edge would have 18 rules .* at most 16 are possible"):
        router.spec(route, SHOP, TESTERS)


def test_a_mirror_of_the_teams_own_stays_or_the_release_is_refused() -> None:
    route = virtual_service()
    route["spec"]["http"][-1]["mirror"] = {"host": "audit"}
    router = ROUTERS.get("istio")
    with pytest.raises(PlatformError, match="HTTP rule 3 of VirtualService edge mirrors to audit already"):
        router.spec(route, SHOP, MIRRORED)
    for step in (TESTERS, share_with("canary", 10), ALL_TO_STABLE):
        route = after(route, router, step, SHOP)
        assert route["spec"]["http"][-1]["mirror"] == {"host": "audit"}
        assert router.traffic(route, SHOP, None).mirror == 0


@kinds
def test_a_rule_without_the_mirror_that_is_wanted_is_drift(kind: str) -> None:  # R14
    router, (make, rules) = ROUTERS.get(kind), ROUTES[kind]
    route = after(make(), router, MIRRORED, SHOP)
    last = route["spec"][rules][-1]
    for key in ("filters", "mirror", "mirrorPercentage"):
        last.pop(key, None)
    assert not router.traffic(route, SHOP, MIRRORED).same(MIRRORED)
    assert not router.traffic(route, SHOP, ALL_TO_STABLE).same(ALL_TO_STABLE)


@kinds
def test_two_apps_with_testers_on_one_route_keep_to_their_own_rules(kind: str) -> None:
    router, (make, rules) = ROUTERS.get(kind), ROUTES[kind]
    text = json.dumps(make()["spec"][rules][-1]).replace("web", "cart")
    team = make()
    team["spec"][rules].append(json.loads(text))
    cart = replace(WEB, stable="cart", app="cart")
    route = after(after(team, router, TESTERS, SHOP), router, COOKIE, cart)
    assert router.traffic(stored(route), SHOP, TESTERS).same(TESTERS)
    assert router.traffic(stored(route), cart, COOKIE).same(COOKIE)
    assert "cart.release-pipelines.testers-0" in [it["name"] for it in route["spec"][rules]]
    route = after(after(route, router, ALL_TO_STABLE, SHOP), router, ALL_TO_STABLE, cart)
    assert route["spec"] == team["spec"]
    assert json.loads(route["metadata"]["annotations"][f"shop.{TRAFFIC}"]) == {"weights": {"stable": 100}}
