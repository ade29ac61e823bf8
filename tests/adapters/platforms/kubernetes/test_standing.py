"""An app that runs as something else, or that people reach by another route, is named and left alone."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, PODS, REPLICA_SETS, SERVICES, Object, Resource
from release_pipelines.adapters.platforms.kubernetes import standing
from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import RouterSettings, Workload
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_ownership import NEW, OLD, ROUTES, deployment, route, service, target

INGRESSES = Resource("networking.k8s.io/v1", "ingresses", "Ingress")
GRPC_ROUTES = Resource("gateway.networking.k8s.io/v1", "grpcroutes", "GRPCRoute")
VIRTUAL_SERVICES = Resource("networking.istio.io/v1", "virtualservices", "VirtualService")
GATEWAYS = Resource("gateway.networking.k8s.io/v1", "gateways", "Gateway")


@pytest.fixture
def client() -> MemoryClient:
    client = MemoryClient(
        gateway__networking__k8s__io=["v1"],
        networking__k8s__io=["v1"],
        networking__istio__io=["v1"],
        argoproj__io=["v1alpha1"],
    )
    client.add(SERVICES, service("shop", "shop"))
    return client


@pytest.fixture
def platform(client: MemoryClient) -> Kubernetes:
    return kubernetes(client)


def owned(kind: str, name: str) -> Object:
    return {"ownerReferences": [{"kind": kind, "name": name, "uid": f"{kind}/{name}", "controller": True}]}


def add_pods(client: MemoryClient, number: int, owner: Object, app: str = "shop") -> None:
    for it in range(number):
        client.add(PODS, {"metadata": {"name": f"{app}-{it}", "labels": {"app": app}, **owner}, "spec": {}})


def add_replica_set(client: MemoryClient, name: str, owner: Object) -> Object:
    client.add(REPLICA_SETS, {"metadata": {"name": name, "labels": {"app": "shop"}, **owner}, "spec": {}})
    reference = {"kind": "ReplicaSet", "name": name, "uid": f"replicasets/{name}", "controller": True}
    return {"ownerReferences": [reference]}


async def refused(client: MemoryClient, platform: Kubernetes, said: str, **changes: Any) -> None:
    """Preflight and the first deployment say it, and nothing is made."""
    app = target(**changes)
    fence = (await platform.take_lease(app, "release", 60)).fence
    before = dict(client.objects)
    with pytest.raises(PlatformError, match=said):
        await standing.refuse_other_workload(platform.client, app)
    with pytest.raises(PlatformError, match=said):
        await platform.deploy(app, "stable", NEW, 1, fence)
    assert client.objects == before


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
async def test_a_workload_of_another_kind_behind_the_service_is_named(
    client: MemoryClient, platform: Kubernetes, kind: str
) -> None:  # R17
    add_pods(client, 3, owned(kind, "shop"))
    said = rf"^Service shop in namespace shops is answered by {kind} shop \(3 pods\), not by Deployment shop: .*`workload.name` is"
    await refused(client, platform, said)


@pytest.mark.parametrize(("kind", "name"), [("Rollout", "shop"), ("Deployment", "shop-v1")])
async def test_what_owns_the_pods_replica_set_is_named(
    client: MemoryClient, platform: Kubernetes, kind: str, name: str
) -> None:  # R17
    add_pods(client, 1, add_replica_set(client, "shop-6b7f", owned(kind, name)))
    await refused(client, platform, rf"is answered by {kind} {name} \(1 pod\), not by Deployment shop")


async def test_pods_and_addresses_that_nobody_owns_are_named(client: MemoryClient, platform: Kubernetes) -> None:  # R17
    add_pods(client, 1, {})
    await refused(client, platform, "is answered by Pod shop-0, not by Deployment shop")


async def test_a_service_that_leads_out_of_the_cluster_is_answered(client: MemoryClient, platform: Kubernetes) -> None:
    client.add(SERVICES, {"metadata": {"name": "shop"}, "spec": {"ports": [{"port": 80}]}})
    slice_ = {"metadata": {"name": "x", "labels": {"kubernetes.io/service-name": "shop"}}}
    client.add(standing.ENDPOINT_SLICES, {**slice_, "endpoints": [{"addresses": ["10.1.2.3"]}], "spec": {}})
    await refused(client, platform, r"is answered by address 10\.1\.2\.3, not by")
    client.add(SERVICES, {"metadata": {"name": "shop"}, "spec": {"externalName": "shop.example.org"}})
    await refused(client, platform, r"is answered by ExternalName shop\.example\.org, not by")


@pytest.mark.parametrize(
    ("kind", "name"), [(standing.STATEFUL_SETS, "shop"), (DEPLOYMENTS, "shop-v1"), (standing.ROLLOUTS, "shop")]
)
async def test_what_was_scaled_to_nothing_is_named(
    client: MemoryClient, platform: Kubernetes, kind: Resource, name: str
) -> None:
    template = {"metadata": {"labels": {"app": "shop"}}}
    client.add(kind, {"metadata": {"name": name}, "spec": {"replicas": 0, "template": template}})
    await refused(client, platform, rf"is answered by {kind.kind} {name} \(0 pods\), not by")


async def test_a_deployment_that_answers_nobody_is_not_the_app(client: MemoryClient, platform: Kubernetes) -> None:
    client.add(DEPLOYMENTS, deployment("shop"))
    add_pods(client, 2, add_replica_set(client, "shop-v1-6b7f", owned("Deployment", "shop-v1")))
    with pytest.raises(PlatformError, match=r"is answered by Deployment shop-v1 \(2 pods\)"):
        await standing.refuse_other_workload(platform.client, target())


async def test_what_is_a_releases_own_is_no_other_workload(client: MemoryClient, platform: Kubernetes) -> None:
    client.add(DEPLOYMENTS, deployment("shop"))
    add_pods(client, 1, add_replica_set(client, "shop-canary-6b7f", owned("Deployment", "shop-canary")))
    await standing.refuse_other_workload(platform.client, target())


async def test_an_app_that_is_not_there_yet_has_its_first_release(client: MemoryClient, platform: Kubernetes) -> None:
    client.add(ROUTES, route("shop", "shop"))
    client.add(
        standing.STATEFUL_SETS,
        {"metadata": {"name": "db"}, "spec": {"template": {"metadata": {"labels": {"app": "db"}}}}},
    )
    fence = (await platform.take_lease(target(), "release", 60)).fence
    await standing.refuse_other_workload(platform.client, target())
    assert await platform.deploy(target(), "stable", NEW, 1, fence)


# --- routes -----------------------------------------------------------------------------------------------------


def virtual_service(host: str) -> Object:
    return {"spec": {"hosts": ["shop.example"], "http": [{"route": [{"destination": {"host": host}}]}]}}


INGRESS = {
    "spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "shop", "port": {"number": 80}}}}]}}]}
}
OTHERS = [
    (
        ROUTES,
        "infra",
        {"spec": {"rules": [{"backendRefs": [{"name": "shop", "namespace": "shops"}]}]}},
        "HTTPRoute infra/web",
    ),
    (GRPC_ROUTES, "shops", {"spec": {"rules": [{"backendRefs": [{"name": "shop"}]}]}}, "GRPCRoute web"),
    (VIRTUAL_SERVICES, "infra", virtual_service("shop.shops.svc.cluster.local"), "VirtualService infra/web"),
    (VIRTUAL_SERVICES, "shops", virtual_service("shop"), "VirtualService web"),
    (INGRESSES, "shops", INGRESS, "Ingress web"),
]


@pytest.mark.parametrize(("kind", "space", "body", "named"), OTHERS, ids=[it[3] for it in OTHERS])
async def test_another_route_that_people_come_by_is_named(
    client: MemoryClient, platform: Kubernetes, kind: Resource, space: str, body: Object, named: str
) -> None:
    client.add(DEPLOYMENTS, deployment("shop"))
    client.add(GATEWAYS, gateway("shops"))
    client.add(kind, {**body, "metadata": {"name": "web", "namespace": space}})
    fence = (await platform.take_lease(target(), "release", 60)).fence
    await platform.deploy(target(), "canary", NEW, 1, fence)
    before = dict(client.objects)
    said = f"^HTTPRoute shop does not exist, and {named} sends to Service shop in namespace shops: no second route was made"
    with pytest.raises(PlatformError, match=said):
        await standing.refuse_other_route(platform.client, target())
    with pytest.raises(PlatformError, match=said):
        await platform.split(target(), share_with("canary", 10), RouteNote(), fence)
    assert client.objects == before


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"name": "web", "namespace": "infra"}, "spec": {"rules": [{"backendRefs": [{"name": "shop"}]}]}},
        {"metadata": {"name": "web"}, "spec": {"rules": [{"backendRefs": [{"name": "shop-admin"}]}]}},
    ],
    ids=["a Service of that name elsewhere", "another Service"],
)
async def test_routes_to_others_are_none_of_its_business(
    client: MemoryClient, platform: Kubernetes, body: Object
) -> None:
    client.add(ROUTES, body)
    await standing.refuse_other_route(platform.client, target())


async def test_a_running_app_that_no_route_leads_to_is_not_let_out(client: MemoryClient, platform: Kubernetes) -> None:
    client.add(DEPLOYMENTS, deployment("shop"))
    shop = client.objects["deployments", "shop"]
    for part in (shop, shop["spec"]["template"]):  # as a team made it
        part["metadata"].pop("annotations", None)
        part["metadata"]["labels"] = {"app": "shop"}
    with pytest.raises(PlatformError, match=r"nothing was seen that sends to Service shop .*, which runs already"):
        await standing.refuse_other_route(platform.client, target())
    await standing.refuse_other_route(platform.client, target(router=RouterSettings(kind="istio", route="shop")))


async def test_an_app_whose_first_release_got_no_route_yet_goes_on(client: MemoryClient, platform: Kubernetes) -> None:
    fence = (await platform.take_lease(target(), "release", 60)).fence
    await platform.deploy(target(), "stable", OLD, 1, fence)
    await standing.refuse_other_route(platform.client, target())


async def test_a_route_that_does_not_name_the_app_is_refused_before_the_release(
    client: MemoryClient, platform: Kubernetes
) -> None:
    client.add(ROUTES, route("shop", "shop-v1"))
    found = client.objects["httproutes", "shop"]
    with pytest.raises(PlatformError, match="HTTPRoute shop has no rule that sends to Service shop"):
        await standing.refuse_unusable_route(platform.client, target(), found)


# --- Gateways, and who follows a route --------------------------------------------------------------------------


def gateway(space: str, name: str = "edge", **listener: Any) -> Object:
    return {"metadata": {"name": name, "namespace": space}, "spec": {"listeners": [{"protocol": "HTTP", **listener}]}}


def selected(**labels: str) -> Object:
    return {"allowedRoutes": {"namespaces": {"from": "Selector", "selector": {"matchLabels": labels}}}}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (gateway("infra"), "infra/edge lets in routes of its own namespace only"),
        (gateway("infra", **selected(team="web")), "infra/edge lets in routes of other namespaces than shops only"),
        (gateway("shops", hostname="*.other.example"), r"is for host \*\.other\.example, not for shop\.example"),
        (gateway("shops", allowedRoutes={"kinds": [{"kind": "GRPCRoute"}]}), "lets in no HTTPRoute"),
        (gateway("shops", protocol="TCP"), "has no listener for HTTP"),
    ],
)
async def test_a_gateway_that_does_not_let_the_route_in_is_named_with_why(
    client: MemoryClient, platform: Kubernetes, made: Object, why: str
) -> None:
    client.add(GATEWAYS, made)
    client.add(Resource("v1", "namespaces", "Namespace"), {"metadata": {"name": "shops", "labels": {"team": "shop"}}})
    with pytest.raises(PlatformError, match=f"one Gateway is expected to make it for; found .*; .*{why}"):
        await standing.refuse_unusable_route(platform.client, target(), None)


async def test_of_several_gateways_the_one_that_lets_the_route_in_is_taken(
    client: MemoryClient, platform: Kubernetes
) -> None:
    client.add(GATEWAYS, gateway("infra", "inner"))
    client.add(GATEWAYS, gateway("infra", "outer", **selected(team="shop")))
    client.add(Resource("v1", "namespaces", "Namespace"), {"metadata": {"name": "shops", "labels": {"team": "shop"}}})
    fence = (await platform.take_lease(target(), "release", 60)).fence
    await platform.deploy(target(), "stable", OLD, 1, fence)
    accepting(client)
    await platform.split(target(), ALL_TO_STABLE, RouteNote(), fence)
    made = client.objects["httproutes", "shop"]
    assert [(it["name"], it["namespace"]) for it in made["spec"]["parentRefs"]] == [("outer", "infra")]


async def test_a_host_that_another_route_has_on_the_gateway_gets_no_second(
    client: MemoryClient, platform: Kubernetes
) -> None:
    client.add(GATEWAYS, gateway("shops"))
    client.add(ROUTES, route("shop", "other") | {"metadata": {"name": "other", "namespace": "shops"}})
    with pytest.raises(
        PlatformError, match=r"HTTPRoute shops/other has host shop.example on Gateway shops/edge already"
    ):
        await standing.refuse_unusable_route(platform.client, target(), None)


def status(**conditions: str) -> Object:
    """What a controller says: condition → reason, with a ``!`` before it where the condition is false."""
    said = [
        {
            "type": kind,
            "status": str(not why.startswith("!")),
            "reason": why.lstrip("!"),
            "message": "so it is",
            "observedGeneration": 2,
        }
        for kind, why in conditions.items()
    ]
    return {"parents": [{"parentRef": {"name": "edge", "namespace": "infra"}, "conditions": said}]}


def accepting(client: MemoryClient, **conditions: str) -> None:
    """A controller that says the same of every route."""

    def kept(resource: Resource, body: Object) -> Object:
        if resource == ROUTES:
            body["metadata"]["generation"] = 2
            body["status"] = status(**(conditions or {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs"}))
        return MemoryClient._keep(client, resource, body)

    client._keep = kept  # type: ignore[method-assign]


REFUSALS = [
    ({"Accepted": "!NotAllowedByListeners"}, "NotAllowedByListeners"),
    ({"Accepted": "Accepted", "ResolvedRefs": "!RefNotPermitted"}, "RefNotPermitted"),
    ({"Accepted": "Accepted", "PartiallyInvalid": "UnsupportedValue"}, "UnsupportedValue"),
]


@pytest.mark.parametrize(("conditions", "reason"), REFUSALS, ids=[it[1] for it in REFUSALS])
async def test_a_route_that_its_controller_refuses_is_refused_with_its_reason(
    client: MemoryClient, platform: Kubernetes, conditions: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release_pipelines.adapters.routers.gateway_api import GatewayApi

    monkeypatch.setattr(GatewayApi, "settles_within", 0.1)
    client.add(DEPLOYMENTS, deployment("shop"))
    accepting(client)
    client.add(ROUTES, route("shop", "shop"))
    fence = (await platform.take_lease(target(), "release", 60)).fence
    await platform.deploy(target(), "canary", NEW, 1, fence)
    await standing.refuse_unusable_route(platform.client, target(), client.objects["httproutes", "shop"])
    accepting(client, **conditions)
    said = f"^HTTPRoute shop does not lead anywhere by Gateway infra/edge: {reason}: so it is.$"
    with pytest.raises(PlatformError, match=said):
        await platform.split(target(), share_with("canary", 10), RouteNote(), fence)
    await standing.refuse_unusable_route(platform.client, target(), client.objects["httproutes", "shop"])
    assert await platform.split(target(), ALL_TO_STABLE, RouteNote(), fence)  # the way back waits for nobody


async def test_a_first_releases_route_may_wait_for_its_service(client: MemoryClient, platform: Kubernetes) -> None:
    accepting(client, Accepted="Accepted", ResolvedRefs="!BackendNotFound")
    client.add(ROUTES, route("shop", "shop"))
    await standing.refuse_unusable_route(platform.client, target(), client.objects["httproutes", "shop"])


async def test_a_controller_that_says_nothing_is_not_waited_for(client: MemoryClient, platform: Kubernetes) -> None:
    client.add(DEPLOYMENTS, deployment("shop"))
    client.add(ROUTES, route("shop", "shop"))
    fence = (await platform.take_lease(target(workload=Workload(name="shop")), "release", 60)).fence
    await platform.deploy(target(), "canary", NEW, 1, fence)
    assert await platform.split(target(), share_with("canary", 10), RouteNote(), fence)
