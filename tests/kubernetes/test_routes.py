"""Weights in real routes: what a real proxy does with them, and who else writes them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import share_with
from sandbox.gateway import start_gateway
from sandbox.kubernetes import manifests
from tests.kubernetes.conftest import CACHE, CONTEXT, apply, deployment, free_port, kubectl, opened, service
from tests.kubernetes.test_cluster import ended

Make = Callable[..., Target]
Images = Callable[..., Artifact]


@pytest.fixture
def gateway(namespace: str, tmp_path: Path) -> Iterator[int]:
    """A Gateway in the namespace, with a real proxy behind it; its port."""
    import os

    port = free_port()
    apply(manifests.gateway_class(namespace), manifests.gateway(namespace, port, namespace))
    kubeconfig = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
    process = start_gateway(kubeconfig, CONTEXT, port, CACHE / "gateway", [namespace])
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)
        kubectl("delete", "gatewayclass", namespace)


async def answers(port: int, count: int, host: str = "web.localhost") -> Counter[str]:
    """Versions in the answers to so many requests; ``lost`` where there was none."""
    import aiohttp

    seen: Counter[str] = Counter()
    async with aiohttp.ClientSession(headers={"Host": host}) as session:

        async def ask() -> None:
            try:
                async with session.get(f"http://127.0.0.1:{port}/") as answer:
                    seen[answer.headers.get("X-App-Version", "lost")] += 1
            except aiohttp.ClientError:
                seen["lost"] += 1

        for _ in range(count // 10):
            await asyncio.gather(*(ask() for _ in range(10)))
    return seen


async def served(port: int, wanted: set[str], within: float = 90) -> None:
    """Wait until only these versions answer, and each of them does."""
    deadline = time.monotonic() + within
    while set(found := await answers(port, 40)) != wanted:
        assert time.monotonic() < deadline, f"{wanted} expected, {found} found"
        await asyncio.sleep(0.1)


async def in_effect(port: int, weight: int, within: float = 90) -> None:
    """Wait until the proxy itself has the canary's weight."""
    import aiohttp

    deadline = time.monotonic() + within
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://127.0.0.1:{port + 1}/api/http/services") as answer:
                found = [it["weighted"]["services"] for it in await answer.json() if "weighted" in it]
            shares = [
                {"-web-canary-" in it["name"].rpartition("-svc-")[2]: it["weight"] for it in services}
                for services in found
            ]
            if shares and all(it.get(True, 0) == weight for it in shares):
                return
            assert time.monotonic() < deadline, f"{weight} % expected, {found} found"
            await asyncio.sleep(0.1)


async def test_a_route_splits_real_requests_as_its_weights_say_and_loses_none(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str, gateway: int
) -> None:  # R5, R18
    app, old, new = target("gateway_api"), artifacts("1.0.0"), artifacts("1.1.0")
    await cluster.check(app)
    fence = (await cluster.take_lease(app, "release", 120)).fence
    await cluster.deploy(app, "stable", old, 2, fence)
    assert (await ended(cluster, app, "stable", fence)).settled
    assert await cluster.split(
        app, share_with("canary", 0), RouteNote(release="release", traffic=share_with("canary", 0)), fence
    )
    await served(gateway, {"1.0.0"})

    await cluster.deploy(app, "canary", new, 1, fence)
    assert (await ended(cluster, app, "canary", fence)).settled
    assert set(await answers(gateway, 50)) == {"1.0.0"}  # a canary that is ready has no traffic yet
    for weight in (10, 50):
        assert await cluster.split(
            app, share_with("canary", weight), RouteNote(release="release", traffic=share_with("canary", weight)), fence
        )
        await in_effect(gateway, weight)
        seen = await answers(gateway, 1000)
        assert abs(seen["1.1.0"] / 10 - weight) <= 3, seen
        assert set(seen) == {"1.0.0", "1.1.0"}
        assert (await cluster.observe(app)).weight("canary") == weight

    assert await cluster.split(
        app, share_with("canary", 100), RouteNote(release="release", traffic=share_with("canary", 100)), fence
    )
    await in_effect(gateway, 100)
    during = asyncio.create_task(answers(gateway, 3000))
    await cluster.deploy(app, "stable", new, None, fence)
    assert (await ended(cluster, app, "stable", fence)).version == "1.1.0"
    await cluster.split(
        app, share_with("canary", 50), RouteNote(release="release", traffic=share_with("canary", 50)), fence
    )
    await cluster.split(
        app, share_with("canary", 0), RouteNote(release="release", traffic=share_with("canary", 0), done=True), fence
    )
    assert set(await during) == {"1.1.0"}
    labels = await metric_labels(gateway)
    assert any(f"-svc-{namespace}-web-0@" in label for label in labels), labels
    assert any(f"-svc-{namespace}-web-canary-1@" in label for label in labels), labels
    await in_effect(gateway, 0)
    assert await cluster.retire(app, "canary", fence)
    assert set(await answers(gateway, 200)) == {"1.1.0"}


async def metric_labels(port: int) -> set[str]:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port + 1}/metrics") as answer:
        return set(re.findall(r'traefik_service_requests_total\{.*service="([^"]+)"', await answer.text()))


def virtual_service(namespace: str) -> dict[str, Any]:
    """A team's own, with things in it that are none of our business."""
    inside = f"web.{namespace}.svc.cluster.local"
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "hosts": ["web.localhost"],
            "http": [
                {"match": [{"uri": {"prefix": "/legacy"}}], "route": [{"destination": {"host": "legacy"}}]},
                {"timeout": "3s", "route": [{"destination": {"host": inside, "port": {"number": 8080}}}]},
            ],
        },
    }


def read(namespace: str, kind: str) -> dict[str, Any]:
    found = json.loads(kubectl("get", kind, "web", "-n", namespace, "-o", "json"))
    assert isinstance(found, dict)
    return found


async def canary_ready(cluster: Kubernetes, app: Target, artifacts: Images, namespace: str) -> int:
    apply(deployment(namespace, artifacts("1.0.0"), 1), service(namespace))
    fence = (await cluster.take_lease(app, "release", 120)).fence
    await ended(cluster, app, "stable", fence)
    await cluster.deploy(app, "canary", artifacts("1.1.0"), 1, fence)
    assert (await ended(cluster, app, "canary", fence)).settled
    return fence


async def test_a_virtual_service_is_right_at_every_step_and_keeps_what_is_its_teams(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:  # R5
    app = target("istio")
    apply(virtual_service(namespace))
    fence = await canary_ready(cluster, app, artifacts, namespace)
    before = read(namespace, "virtualservice")["spec"]
    for weight in (5, 25, 50, 100, 50, 0):
        assert await cluster.split(
            app, share_with("canary", weight), RouteNote(traffic=share_with("canary", weight)), fence
        )
        http = read(namespace, "virtualservice")["spec"]["http"]
        assert http[0] == before["http"][0]
        assert http[1]["timeout"] == "3s"
        found = {it["destination"]["host"].split(".")[0]: it["weight"] for it in http[1]["route"]}
        assert found == {"web": 100 - weight, **({"web-canary": weight} if weight else {})}
        assert all(it["destination"]["host"].endswith(".svc.cluster.local") for it in http[1]["route"])
        assert (await cluster.observe(app)).weight("canary") == weight


async def test_who_else_changed_the_weights_is_seen_and_named(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:  # R14
    app = target("istio")
    apply(virtual_service(namespace))
    fence = await canary_ready(cluster, app, artifacts, namespace)
    note = RouteNote(release="release", traffic=share_with("canary", 25))
    await cluster.split(app, share_with("canary", 25), note, fence)
    http = read(namespace, "virtualservice")["spec"]["http"]
    http[1]["route"][0]["weight"], http[1]["route"][1]["weight"] = 60, 40
    body = json.dumps({"spec": {"http": http}})
    kubectl("patch", "virtualservice", "web", "-n", namespace, "--type=merge", "-p", body, "--field-manager=argocd")
    route = (await cluster.observe(app)).route
    assert route is not None
    assert (route.traffic.weight("canary"), route.changed_by, route.note) == (40, "argocd", note)
    assert await cluster.split(app, share_with("canary", 25), note, fence)
    route = (await cluster.observe(app)).route
    assert route is not None
    assert (route.traffic.weight("canary"), route.changed_by) == (25, None)


async def test_weights_hold_against_a_writer_that_never_stops(
    cluster: Kubernetes, target: Make, artifacts: Images, namespace: str
) -> None:  # R14
    from release_pipelines.adapters.platforms.kubernetes.routing import route_resource

    app = target("istio")
    apply(virtual_service(namespace))
    fence = await canary_ready(cluster, app, artifacts, namespace)
    kind, stop = await route_resource(cluster.client, app), asyncio.Event()

    async def disturb() -> int:
        number = 0
        while not stop.is_set():
            number += 1
            body = {"metadata": {"annotations": {"somebody.example/number": str(number)}}}
            await cluster.client.patch(kind, namespace, "web", body)
        return number

    others = [asyncio.create_task(disturb()) for _ in range(2)]
    try:
        for weight in (10, 20, 30, 40):
            assert await cluster.split(
                app, share_with("canary", weight), RouteNote(traffic=share_with("canary", weight)), fence
            )
            assert (await cluster.observe(app)).weight("canary") == weight
    finally:
        stop.set()
    assert sum(await asyncio.gather(*others)) > 4
    assert read(namespace, "virtualservice")["metadata"]["annotations"]["somebody.example/number"]


async def test_rights_that_are_missing_are_named(target: Make, namespace: str) -> None:
    app = target("gateway_api")
    apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "poor", "namespace": namespace}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "poor", "namespace": namespace},
            "rules": [{"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["get", "list"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "poor", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "poor"},
            "subjects": [{"kind": "ServiceAccount", "name": "poor", "namespace": namespace}],
        },
    )
    token = account_token(namespace, "poor")
    async with Kubernetes(opened(api_key={"BearerToken": f"Bearer {token}"})) as platform:
        with pytest.raises(Forbidden, match=r"create, patch, update, delete deployments\.apps") as missing:
            await platform.check(app)
        assert "get, create, patch httproutes.gateway.networking.k8s.io" in str(missing.value)
        # The lease and the route are read at once: either may be the first to be refused.
        with pytest.raises(Forbidden, match=rf"may not get (httproutes|leases)\..* in namespace {namespace}"):
            await platform.take_lease(app, "poor", 10)


def account_token(namespace: str, name: str) -> str:
    """A token of a service account, from the API that is right for every version."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    try:
        answer = kubectl("create", "--raw", path, "-f", "-", given=body)
    except AssertionError:
        secrets = json.loads(kubectl("get", "serviceaccount", name, "-n", namespace, "-o", "json"))["secrets"]
        return kubectl(
            "get", "secret", secrets[0]["name"], "-n", namespace, "-o", "go-template={{.data.token|base64decode}}"
        )
    return str(json.loads(answer)["status"]["token"])


async def test_a_namespace_that_does_not_exist_and_a_cluster_that_does_not_answer_are_said(
    cluster: Kubernetes, target: Make
) -> None:
    app = target()
    with pytest.raises(PlatformError, match="Namespace nowhere does not exist"):
        await cluster.check(app.model_copy(update={"namespace": "nowhere"}))
    async with Kubernetes(opened(host=f"https://127.0.0.1:{free_port()}")) as gone:
        with pytest.raises(PlatformUnavailable, match="does not answer"):
            await gone.observe(app)
