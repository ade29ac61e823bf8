"""Where pods make the weight: whom the Service picks while somebody else rolls a stable that no release has touched."""

from __future__ import annotations

import copy

import pytest

from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, REPLICA_SETS, SERVICES, Object, Resource
from release_pipelines.adapters.kubernetes.router import HASH, TRACK
from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import RouterSettings, Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic, share_with
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_ownership import NEW, deployment, service, target

SHOP = target(router=RouterSettings(kind="replicas", route="shop"))
REVISION = "deployment.kubernetes.io/revision"


class Cluster(MemoryClient):
    """A team's shop, whose pods have no label of a release; keeps in which order the Service and the canary were changed."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.add(DEPLOYMENTS, {**deployment("shop"), "status": {}})
        template = self.objects["deployments", "shop"]["spec"]["template"]
        template["metadata"]["labels"].pop(TRACK)
        self.add(SERVICES, service("shop", "shop"))
        self.rolled(1, 1)

    def rolled(self, revision: int, pods: int) -> None:
        """The team has rolled stable: so many pods are of this revision."""
        stable = self.objects["deployments", "shop"]
        stable["metadata"].setdefault("annotations", {})[REVISION] = str(revision)
        body = {
            "metadata": {
                "name": f"shop-{revision}",
                "labels": {**stable["spec"]["template"]["metadata"]["labels"], HASH: f"h{revision}"},
                "annotations": {REVISION: str(revision)},
                "ownerReferences": [{"uid": "deployments/shop", "controller": True}],
            },
            "spec": {"replicas": pods, "template": copy.deepcopy(stable["spec"]["template"])},
            "status": {"replicas": pods},
        }
        self.objects.pop(("replicasets", f"shop-{revision}"), None)
        self.add(REPLICA_SETS, body)

    async def patch(self, resource: Resource, namespace: str, name: str, body: Object, *rest: object) -> Object:
        if resource.plural == "services" and "selector" in (body.get("spec") or {}):
            self.order.append("picked")
        return await super().patch(resource, namespace, name, body, *rest)

    async def delete(self, resource: Resource, namespace: str, name: str, *, found: Object | None = None) -> bool:
        self.order.append(f"{name} left")
        return await super().delete(resource, namespace, name, found=found)

    @property
    def selector(self) -> dict[str, str]:
        picked: dict[str, str] = self.objects["services", "shop"]["spec"]["selector"]
        return picked


@pytest.fixture
def client() -> Cluster:
    return Cluster()


@pytest.fixture
def platform(client: Cluster) -> Kubernetes:
    return kubernetes(client)


async def with_canary(platform: Kubernetes, traffic: Traffic) -> Lease:
    lease = await platform.take_lease(SHOP, "release", 60)
    await platform.deploy(SHOP, "canary", NEW, 1, lease.fence)
    if not traffic.same(ALL_TO_STABLE):
        await platform.split(SHOP, traffic, RouteNote(traffic=traffic), lease.fence)
    return lease


async def back(platform: Kubernetes, app: Target, fence: int) -> None:
    await platform.split(app, ALL_TO_STABLE, RouteNote(release="release", traffic=ALL_TO_STABLE), fence)
    route = (await platform.observe(app)).route
    assert route is not None
    assert route.traffic.same(ALL_TO_STABLE)
    assert route.note.release == "release"
    assert not (await platform.observe(app)).beside


@pytest.mark.parametrize("weight", [50, 100])
async def test_the_way_back_is_open_while_somebody_rolls_stable(
    client: Cluster, platform: Kubernetes, weight: int
) -> None:
    lease = await with_canary(platform, share_with("canary", weight))
    client.rolled(2, 1)
    client.order.clear()
    await back(platform, SHOP, lease.fence)
    assert client.selector == {"app": "shop"}
    assert client.order == ["picked", "shop-canary left"], "there is always somebody who answers"


async def test_a_track_without_traffic_leaves_before_the_service_could_pick_it(
    client: Cluster, platform: Kubernetes
) -> None:
    lease = await with_canary(platform, ALL_TO_STABLE)
    assert client.selector == {"app": "shop", HASH: "h1"}
    client.rolled(2, 1)
    client.order.clear()
    await back(platform, SHOP, lease.fence)
    assert client.order == ["shop-canary left", "picked"]
    assert client.selector == {"app": "shop"}


async def test_pods_that_somebody_else_makes_for_stable_are_picked(client: Cluster, platform: Kubernetes) -> None:
    lease = await with_canary(platform, ALL_TO_STABLE)
    await platform.renew_lease(SHOP, lease, 60)
    assert client.selector == {"app": "shop", HASH: "h1"}
    client.rolled(1, 0)
    client.rolled(2, 1)
    await platform.renew_lease(SHOP, lease, 60)
    assert client.selector == {"app": "shop", HASH: "h2"}, "rolled between two looks"
    assert (await platform.observe(SHOP)).beside == ["canary"]
    client.rolled(3, 1)
    client.order.clear()
    await platform.renew_lease(SHOP, lease, 60)
    assert client.order == ["shop-canary left", "picked"]
    assert client.selector == {"app": "shop"}
