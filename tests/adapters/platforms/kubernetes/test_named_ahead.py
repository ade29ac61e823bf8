"""A gateway may follow a route before it knows a Service that is new in it: a track is named before it gets requests (R5, R15)."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.client import SERVICES, Object, Resource
from release_pipelines.adapters.platforms.kubernetes import traffic as splitting
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes, target

ROUTES = Resource("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute")
OLD, NEW = (Artifact(app="web", version=f"1.{n}.0", image="shop/web", digest=f"sha256:{n:064}") for n in (0, 1))
TESTERS = share_with("canary", 0, testers=Match(kind="header", name="x-tester", value="yes"))


class Watched(MemoryClient):
    """Keeps what the route has sent to, after each change of it, and when Services went."""

    def __init__(self) -> None:
        super().__init__(gateway__networking__k8s__io=["v1"])
        self.seen: list[Any] = []

    async def patch(self, resource: Resource, namespace: str, name: str, body: Object, *more: Any) -> Object:
        done = await super().patch(resource, namespace, name, body, *more)
        if resource.plural == ROUTES.plural:
            self.seen.append([weights(rule) for rule in done["spec"]["rules"]])
        return done

    async def delete(self, resource: Resource, namespace: str, name: str, *, found: Object | None = None) -> bool:
        if resource == SERVICES:
            self.seen.append(f"no {name}")
        return await super().delete(resource, namespace, name, found=found)


def weights(rule: Object) -> dict[str, int]:
    return {it["name"]: it.get("weight", 1) for it in rule["backendRefs"]}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "NAMED_SECONDS", 0.0)


async def cluster(controller: str = "projectcontour.io/gateway-controller") -> Watched:
    """The app with a canary; a controller has accepted its route."""
    client = Watched()
    platform = kubernetes(client)
    await platform.take_lease(target(), "r", 60)
    await platform.deploy(target(), "stable", OLD, 2, 1)
    conditions = [{"type": "Accepted", "status": "True"}]
    status = {"parents": [{"parentRef": {"name": "web"}, "controllerName": controller, "conditions": conditions}]}
    body = {"metadata": {"name": "web"}, "spec": {"rules": [{"backendRefs": [{"name": "web", "port": 8080}]}]}}
    client.add(ROUTES, {**body, "status": status})
    await platform.deploy(target(), "canary", NEW, 1, 1)
    return client


async def split(client: Watched, traffic: Traffic) -> None:
    await kubernetes(client).split(target(), traffic, RouteNote(release="r", traffic=traffic), 1)


async def test_a_track_is_named_before_it_gets_requests_and_until_its_service_goes() -> None:
    client = await cluster()
    await split(client, share_with("canary", 20))
    await split(client, ALL_TO_STABLE)
    observed = await kubernetes(client).observe(target())
    assert (observed.stable_alone, observed.route and observed.route.changed_by) == (True, None)
    assert await kubernetes(client).retire(target(), "canary", 1)
    assert client.seen == [
        [{"web": 100, "web-canary": 0}],
        [{"web": 80, "web-canary": 20}],
        [{"web": 100, "web-canary": 0}],
        [{"web": 100}],
        "no web-canary",
    ]


async def test_a_track_is_named_before_testers_come_too() -> None:
    client = await cluster()
    await split(client, TESTERS)
    await split(client, TESTERS)
    assert client.seen == [
        [{"web": 100, "web-canary": 0}],
        [{"web-canary": 100}, {"web": 100, "web-canary": 0}],
    ]


async def test_what_somebody_else_has_set_is_not_written_again_for_it() -> None:
    client = await cluster()
    await split(client, share_with("canary", 20))
    client.objects["httproutes", "web"]["spec"]["rules"] = [{"backendRefs": [{"name": "web", "port": 8080}]}]
    client.seen.clear()
    await split(client, share_with("canary", 50))
    assert client.seen == [[{"web": 50, "web-canary": 50}]]


async def test_a_route_of_a_controller_that_knows_both_at_once_is_written_once() -> None:
    client = await cluster("traefik.io/gateway-controller")
    await split(client, share_with("canary", 20))
    await split(client, ALL_TO_STABLE)
    assert client.seen == [[{"web": 80, "web-canary": 20}], [{"web": 100}]]


async def test_a_service_of_the_teams_own_stays_named() -> None:
    client = await cluster()
    rule = {"backendRefs": [{"name": "web", "port": 8080, "weight": 1}, {"name": "web-baseline", "weight": 0}]}
    client.objects["httproutes", "web"]["spec"]["rules"] = [rule]
    client.add(SERVICES, {"metadata": {"name": "web-baseline"}, "spec": {}})
    await kubernetes(client).retire(target(), "baseline", 1)
    assert client.objects["httproutes", "web"]["spec"]["rules"] == [rule]
