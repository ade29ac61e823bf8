"""A GRPCRoute of the app's name is split as an HTTPRoute is."""

from __future__ import annotations

import copy

import pytest

from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, SERVICES, Object, Resource
from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_ownership import NEW, deployment, service, target

GRPC_ROUTES = Resource("gateway.networking.k8s.io/v1", "grpcroutes", "GRPCRoute")
CART = {"matches": [{"method": {"service": "cart.v1.Cart"}}], "backendRefs": [{"name": "cart", "port": 9000}]}
SHOP = {"backendRefs": [{"name": "shop", "port": 8080}]}


@pytest.fixture
def client() -> MemoryClient:
    client = MemoryClient(gateway__networking__k8s__io=["v1"])
    client.add(DEPLOYMENTS, deployment("shop"))
    client.add(SERVICES, service("shop", "shop"))
    spec = {"parentRefs": [{"name": "edge"}], "hostnames": ["shop.example"], "rules": [CART, SHOP]}
    client.add(GRPC_ROUTES, {"metadata": {"name": "shop"}, "spec": copy.deepcopy(spec)})
    return client


def rules(client: MemoryClient) -> list[Object]:
    found: list[Object] = client.objects["grpcroutes", "shop"]["spec"]["rules"]
    return found


async def shared(platform: Kubernetes, traffic: Traffic) -> int:
    """Some traffic goes to a canary that is ready; the fence."""
    fence = (await platform.take_lease(target(), "release", 60)).fence
    await platform.deploy(target(), "canary", NEW, 1, fence)
    assert await platform.split(target(), traffic, RouteNote(traffic=traffic), fence)
    return fence


async def test_its_weights_are_written_and_read_and_no_second_route_is_made(client: MemoryClient) -> None:
    platform = kubernetes(client)
    fence = await shared(platform, share_with("canary", 20))
    assert rules(client)[0] == CART
    assert [(it["name"], it["weight"]) for it in rules(client)[1]["backendRefs"]] == [("shop", 80), ("shop-canary", 20)]
    assert not [name for kind, name in client.objects if kind == "httproutes"]
    seen = (await platform.observe(target())).route
    assert seen is not None
    assert (seen.traffic, seen.fence) == (share_with("canary", 20), fence)
    newer = await platform.take_lease(target(), "two", 60, force=True)
    assert (await platform.observe(target())).route.fence == newer.fence  # type: ignore[union-attr]
    assert await platform.split(target(), ALL_TO_STABLE, RouteNote(), newer.fence)
    assert rules(client)[1]["backendRefs"] == [
        {"name": "shop", "port": 8080, "group": "", "kind": "Service", "weight": 100}
    ]


async def test_testers_are_told_by_a_header_and_no_path(client: MemoryClient) -> None:
    testers = Match(kind="header", name="x-tester", value="yes")
    traffic = Traffic(weights={"stable": 100}, testers=testers)
    await shared(kubernetes(client), traffic)
    header = {"type": "Exact", "name": "x-tester", "value": "yes"}
    assert rules(client)[0]["matches"] == [{"headers": [header]}]
    seen = (await kubernetes(client).observe(target())).route
    assert seen is not None
    assert seen.traffic == traffic


async def test_a_controller_says_itself_that_it_mirrors_grpc(client: MemoryClient) -> None:
    with pytest.raises(PlatformError, match=r"controller of GRPCRoute shop is not known to support `mirror`"):
        await shared(kubernetes(client), Traffic(weights={"stable": 100}, mirror=100))


async def test_a_preview_gets_a_route_of_the_same_kind(client: MemoryClient) -> None:
    platform, app = kubernetes(client), target(preview=True)
    fence = (await platform.take_lease(app, "release", 60)).fence
    await platform.deploy(app, "preview", NEW, 1, fence)
    await platform.advance(app, "preview", fence)
    assert client.objects["grpcroutes", "shop-preview"]["spec"]["hostnames"] == ["preview.shop.example"]
    assert await platform.retire(app, "preview", fence)
    assert ("grpcroutes", "shop-preview") not in client.objects
