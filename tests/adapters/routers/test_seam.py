"""What each router says of itself, and what Traefik's keys mean."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.metrics.sources._requests import dialect_of
from release_pipelines.adapters.routers.traefik import ROUTER as TRAEFIK
from release_pipelines.core.model.target import RouterSettings
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from release_pipelines.core.ports.platform import PLATFORMS
from release_pipelines.core.ports.router import ROUTERS
from tests.fakes import target


def test_every_router_fits_one_platform_and_reserves_something() -> None:
    for name, router in ROUTERS.usable():
        assert [it for it, platform in PLATFORMS.usable() if platform.fits(router)] == list(router.platforms), name
        assert router.reserved.annotations or router.reserved.rules
        assert router.settles_within == 10


@pytest.mark.parametrize(
    ("name", "counts"), [("traefik", True), ("gateway_api", True), ("istio", True), ("replicas", False)]
)
def test_only_where_pods_make_the_weight_nobody_counts_requests(name: str, counts: bool) -> None:
    assert (dialect_of(RouterSettings(kind=name)) is not None) is counts
    assert ROUTERS.get(name).pods_make_weight is not counts


def keys(**more: Any) -> dict[str, Any]:
    return {"weights": {"stable": "80", "canary": "20"}, "service": "shop-production", **more}


def test_keys_of_traefik_say_the_split() -> None:
    shop = target()
    name = TRAEFIK.place(shop)["name"]
    assert TRAEFIK.traffic(shop, keys(weights={}), None) is None
    assert TRAEFIK.traffic(shop, keys(), None) == share_with("canary", 20)
    assert TRAEFIK.traffic(shop, keys(mirror="30"), None) == share_with("canary", 20), (
        "nothing is sent through the mirror"
    )
    assert TRAEFIK.traffic(shop, keys(mirror="30", service=f"{name}-mirror", cookie="x"), None) == share_with(
        "canary", 20, mirror=30, sticky=True
    )
    assert TRAEFIK.traffic(shop, keys(weights={"stable": "1", "canary": "2"}), None) == share_with("canary", 67)


def test_testers_are_known_by_the_rule_that_was_written() -> None:
    shop, testers = target(), Match(kind="cookie", name="tester", value="a.b")
    split = Traffic(weights={"stable": 100}, testers=testers)
    statement = TRAEFIK.statement(shop, split)
    assert r"tester=a\.b" in statement["testers"]
    written = {"weights": {"stable": "100"}, "testers": statement["testers"]}
    assert TRAEFIK.traffic(shop, written, split) == split
    assert TRAEFIK.traffic(shop, {**written, "testers": "Host(`x`)"}, split) == ALL_TO_STABLE
