"""What stands in a cluster already: a team's own objects under a track's name, the app as something else, other ways to it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.adapters.platforms.kubernetes.standing import STATEFUL_SETS
from release_pipelines.core.errors import FenceLost, LeaseHeld, PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from tests.kubernetes.conftest import apply, deployment, kubectl, opened, service
from tests.kubernetes.test_cluster import ended

Make = Callable[..., Target]
Images = Callable[..., Artifact]
GATEWAY_API = "gateway.networking.k8s.io/v1"


@pytest.fixture
async def other() -> AsyncIterator[Kubernetes]:
    """The platform as another machine has it."""
    async with Kubernetes(opened()) as platform:
        yield platform


def idle(namespace: str, artifact: Artifact, name: str = "web") -> dict[str, Any]:
    """A team's Deployment without pods."""
    body = deployment(namespace, artifact, 0)
    body["metadata"]["name"] = name
    if name != "web":
        body["spec"]["selector"]["matchLabels"] = body["spec"]["template"]["metadata"]["labels"] = {"app": name}
    return body


def route(namespace: str, name: str, to: str, kind: str = "HTTPRoute") -> dict[str, Any]:
    spec = {"parentRefs": [{"name": "nobody"}], "hostnames": ["web.localhost"]}
    rules = [{"backendRefs": [{"name": to, "port": 8080}]}]
    return {
        "apiVersion": GATEWAY_API,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**spec, "rules": rules},
    }


def uids(namespace: str) -> dict[str, str]:
    """All that a release could make, change or remove, with what tells any change."""
    kinds = "deployments,services,httproutes,grpcroutes"
    found = json.loads(kubectl("get", kinds, "-n", namespace, "-o", "json"))["items"]
    return {f"{it['kind']}/{it['metadata']['name']}": it["metadata"]["uid"] + json.dumps(it["spec"]) for it in found}


async def test_a_teams_own_objects_under_the_tracks_names_are_named_and_survive(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:
    old, new = artifacts("1.0.0"), artifacts("1.1.0")
    apply(deployment(namespace, old, 1), service(namespace), route(namespace, "web", "web"))
    for track in BESIDE:
        own = service(namespace)
        own["metadata"]["name"] = f"web-{track}"
        apply(idle(namespace, old, f"web-{track}"), own)
    apply(route(namespace, "web-preview", "web-preview"))
    canary = target("gateway_api")
    blue_green = canary.model_copy(update={"preview": True, "preview_host": "preview.web.localhost"})
    before = uids(namespace)
    with pytest.raises(
        PlatformError, match=r"^Deployment web-canary, .*Service web-baseline in namespace .* not this package's"
    ):
        await cluster.check(canary)
    with pytest.raises(
        PlatformError, match=r"^Deployment web-preview, Service web-preview and HTTPRoute web-preview in"
    ):
        await cluster.check(blue_green)
    fence = (await cluster.take_lease(canary, "release", 60)).fence
    with pytest.raises(PlatformError, match="web-canary"):
        await cluster.deploy(canary, "canary", new, 1, fence)
    with pytest.raises(PlatformError, match="web-preview"):
        await cluster.deploy(blue_green, "preview", new, 1, fence)
    for track in BESIDE:
        assert not await cluster.retire(blue_green, track, fence)
    assert uids(namespace) == before


async def test_an_app_that_runs_as_something_else_gets_no_second_one_beside_it(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:  # R17
    app, old = target("gateway_api"), artifacts("1.0.0")
    body = deployment(namespace, old, 1)
    spec = {key: value for key, value in body["spec"].items() if key != "strategy"} | {"serviceName": "web"}
    apply({**body, "kind": STATEFUL_SETS.kind, "spec": spec}, service(namespace), route(namespace, "web", "web"))
    deadline = time.monotonic() + 30
    while not kubectl("get", "pods", "-n", namespace, "-o", "name"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    said = r"^Service web in namespace .* is answered by StatefulSet web \(1 pod\), not by Deployment web: "
    with pytest.raises(PlatformError, match=said):
        await cluster.check(app)
    fence = (await cluster.take_lease(app, "release", 60)).fence
    with pytest.raises(PlatformError, match=said):
        await cluster.deploy(app, "stable", artifacts("1.1.0"), 1, fence)
    assert sorted(it.partition("/")[0] for it in uids(namespace)) == ["HTTPRoute", "Service"]


async def test_the_route_that_people_come_by_is_named_and_gets_no_second(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:
    app = target("gateway_api")
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 8080}}}}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "entry", "namespace": namespace},
        "spec": {"rules": [{"host": "web.localhost", "http": {"paths": [path]}}]},
    }
    apply(
        idle(namespace, artifacts("1.0.0")), service(namespace), route(namespace, "front", "web", "GRPCRoute"), ingress
    )
    with pytest.raises(
        PlatformError, match=r"^HTTPRoute web does not exist, and GRPCRoute front, Ingress entry send to Service web"
    ):
        await cluster.check(app)


async def test_a_grpc_route_is_split_and_keeps_what_is_its_teams(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:
    app, old, new = target("gateway_api"), artifacts("1.0.0"), artifacts("1.1.0")
    grpc = route(namespace, "web", "web", "GRPCRoute")
    method = {"method": {"type": "Exact", "service": "cart.v1.Cart"}}
    grpc["spec"]["rules"].insert(0, {"matches": [method], "backendRefs": [{"name": "cart", "port": 9000}]})
    apply(deployment(namespace, old, 1), service(namespace), grpc)
    fence = (await cluster.take_lease(app, "release", 60)).fence
    team = json.loads(kubectl("get", "grpcroute", "web", "-n", namespace, "-o", "json"))["spec"]["rules"][0]
    await cluster.deploy(app, "canary", new, 1, fence)
    assert (await ended(cluster, app, "canary", fence)).settled
    assert await cluster.split(app, share_with("canary", 20), RouteNote(traffic=share_with("canary", 20)), fence)
    rules = json.loads(kubectl("get", "grpcroute", "web", "-n", namespace, "-o", "json"))["spec"]["rules"]
    assert rules[0] == team
    assert [(it["name"], it["weight"]) for it in rules[1]["backendRefs"]] == [("web", 80), ("web-canary", 20)]
    seen = await cluster.observe(app)
    assert (seen.weight("stable"), seen.weight("canary")) == (80, 20)
    assert await cluster.split(app, ALL_TO_STABLE, RouteNote(), fence)
    assert await cluster.retire(app, "canary", fence)
    assert not [it for it in uids(namespace) if it.startswith("HTTPRoute") or it.endswith("-canary")]


async def test_a_writer_that_is_overtaken_between_its_look_and_its_write_changes_nothing(
    cluster: Kubernetes,
    other: Kubernetes,
    target: Make,
    artifacts: Images,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # R2
    app, old, new = target("gateway_api"), artifacts("1.0.0"), artifacts("1.1.0")
    apply(idle(namespace, old), service(namespace), route(namespace, "web", "web"))
    fence = (await cluster.take_lease(app, "first", 60)).fence
    await cluster.deploy(app, "canary", new, 1, fence)
    for number, write in enumerate(
        [
            lambda fence: cluster.deploy(app, "stable", new, None, fence),
            lambda fence: cluster.deploy(app, "stable", old, 1, fence),
            lambda fence: cluster.deploy(app, "canary", old, 1, fence),
            lambda fence: cluster.deploy(app, "canary", new, 3, fence),
            lambda fence: cluster.deploy(app, "baseline", old, 1, fence),
            lambda fence: cluster.retire(app, "canary", fence),
            lambda fence: cluster.split(app, ALL_TO_STABLE, RouteNote(step="late"), fence),
        ]
    ):
        sent, taken = cluster.client._sent, list[dict[str, str]]()

        async def overtaken(method: str, *rest: Any, **more: Any) -> Any:
            if method != "GET" and not taken:  # noqa: B023 - it is for this write
                await other.take_lease(app, f"newer-{number}", 60, force=True)  # noqa: B023
                taken.append(uids(namespace))  # noqa: B023
            return await sent(method, *rest, **more)  # noqa: B023

        with monkeypatch.context() as patched:
            patched.setattr(cluster.client, "_sent", overtaken)
            with pytest.raises(FenceLost, match=f"newer-{number}"):
                await write(fence)
        assert taken == [uids(namespace)]
        fence = (await cluster.take_lease(app, "first", 60, force=True)).fence


async def test_a_lease_whose_holders_clock_is_wrong_is_not_taken_while_it_is_renewed(
    cluster: Kubernetes, target: Make, namespace: str
) -> None:  # R2
    app = target("gateway_api")
    await cluster.take_lease(app, "first", 2)

    def renewed(skew: float) -> None:
        at = (datetime.now(timezone.utc) + timedelta(seconds=skew)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        change = json.dumps({"spec": {"renewTime": at}})
        kubectl("patch", "lease", "release-web", "-n", namespace, "--type=merge", "-p", change)

    for skew in (-600, 600):
        for _ in range(4):
            await asyncio.to_thread(renewed, skew)
            with pytest.raises(LeaseHeld, match="held by first, until it has not been renewed for 2 s"):
                await cluster.take_lease(app, "second", 60)
            await asyncio.sleep(0.7)
    deadline = time.monotonic() + 10
    while True:  # its clock still says that it has ten minutes
        try:
            assert (await cluster.take_lease(app, "second", 60)).holder == "second"
            return
        except LeaseHeld:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
