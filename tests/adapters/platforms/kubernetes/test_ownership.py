"""What bears a track's name and has no mark of a release is the team's own: neither used, changed nor removed."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.annotations import FENCE
from release_pipelines.adapters.kubernetes.client import (
    DEPLOYMENTS,
    LEASES,
    MANAGER,
    SECRETS,
    SERVICES,
    Object,
    Resource,
)
from release_pipelines.adapters.platforms.kubernetes import manifests, ownership, standing
from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import RouterSettings, Target, Update, Workload
from release_pipelines.core.model.track import BESIDE
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes

ROUTES = Resource("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute")
OLD, NEW = (Artifact(app="shop", version=f"1.{n}.0", image="example/shop", digest=f"sha256:{n:064}") for n in (0, 1))
AUTH = {"serveraddress": "registry.example", "username": "robot", "password": "opensesame"}


def target(**changes: Any) -> Target:
    return Target(
        app="shop",
        environment="production",
        platform="kubernetes",
        platform_connection="a",
        registry_connection="b",
        prometheus_connection="c",
        namespace="shops",
        workload=Workload(name="shop", replicas=2),
        router=RouterSettings(kind="gateway_api", route="shop"),
        url="http://127.0.0.1",
        host="shop.example",
        preview_host="preview.shop.example",
    ).model_copy(update=changes)


def route(name: str, service: str, **metadata: Any) -> Object:
    rule = {"backendRefs": [{"name": service, "port": 8080}]}
    spec = {"parentRefs": [{"name": "edge"}], "hostnames": [f"{name}.example"], "rules": [rule]}
    return {"metadata": {"name": name, **metadata}, "spec": spec}


def deployment(name: str) -> Object:
    body = manifests.stable_deployment(target(workload=Workload(name=name)), OLD, 1, False, 0)
    body["metadata"]["labels"] = {"app": name, "app.kubernetes.io/managed-by": "Helm"}
    return body


def service(name: str, app: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": 8080}]}}


@pytest.fixture
def client() -> MemoryClient:
    """A team's shop, as it stands."""
    client = MemoryClient(gateway__networking__k8s__io=["v1"])
    client.add(DEPLOYMENTS, deployment("shop"))
    client.add(SERVICES, service("shop", "shop"))
    client.add(ROUTES, route("shop", "shop"))
    return client


@pytest.fixture
def platform(client: MemoryClient) -> Kubernetes:
    return kubernetes(client)


async def test_the_password_for_pulls_is_the_one_of_now(client: MemoryClient) -> None:
    platform, newer = kubernetes(client), {**AUTH, "password": "swordfish"}

    async def auth_now() -> dict[str, str]:
        return newer

    platform.registry_auth, platform._auth_now = AUTH, auth_now
    fence = (await platform.take_lease(target(), "release", 60)).fence
    await platform.deploy(target(), "canary", NEW, 1, fence)
    assert client.objects["secrets", manifests.REGISTRY_SECRET]["data"] == manifests.registry_secret(newer)["data"]


STRANGERS = [(kind, f"shop-{track}") for track in BESIDE for kind in (DEPLOYMENTS, SERVICES)]


@pytest.mark.parametrize(("kind", "name"), STRANGERS, ids=[f"{kind.kind}_{name}" for kind, name in STRANGERS])
async def test_what_a_team_has_under_a_tracks_name_is_named_and_stays(
    client: MemoryClient, platform: Kubernetes, kind: Resource, name: str
) -> None:
    client.add(kind, deployment(name) if kind is DEPLOYMENTS else service(name, "shop"))
    before = dict(client.objects)
    track: Any = name.removeprefix("shop-")
    app = target(preview=track == "preview")
    said = rf"^{kind.kind} {name} in namespace shops is not this package's, .*: nothing was changed, rename or remove it\.$"
    with pytest.raises(PlatformError, match=said):
        await ownership.refuse_strangers(platform.client, app, ownership.release_tracks(app), secret=False)
    assert client.objects == before
    fence = (await platform.take_lease(app, "release", 60)).fence
    before = dict(client.objects)
    with pytest.raises(PlatformError, match=said):
        await platform.deploy(app, track, NEW, 1, fence)
    assert (await platform.advance(app, track, fence)).wanted == 0
    for it in BESIDE:
        assert not await platform.retire(app, it, fence)
    assert client.objects == before
    assert track not in (await platform.observe(app)).tracks


async def test_a_name_that_the_release_does_not_need_is_free(client: MemoryClient, platform: Kubernetes) -> None:
    client.add(DEPLOYMENTS, deployment("shop-preview"))
    client.add(ROUTES, route("shop-preview", "shop-preview"))
    app = target()
    await ownership.refuse_strangers(platform.client, app, ownership.release_tracks(app), secret=False)
    client.add(DEPLOYMENTS, deployment("shop-canary"))
    assert ownership.release_tracks(target(update=Update())) == ()


async def test_a_teams_own_service_that_the_apps_route_names_is_no_track(
    client: MemoryClient, platform: Kubernetes
) -> None:
    client.add(SERVICES, service("shop-preview", "shop-preview"))
    split = route("shop", "shop")
    split["spec"]["rules"].append({"backendRefs": [{"name": "shop-preview", "port": 8080}]})
    assert standing.named_tracks(target(), split) == {"preview"}
    assert standing.named_tracks(target(), route("shop", "shop")) == set()


async def test_several_are_named_in_one_sentence(client: MemoryClient, platform: Kubernetes) -> None:
    for name in ("shop-canary", "shop-baseline"):
        client.add(DEPLOYMENTS, deployment(name))
    client.add(SERVICES, service("shop-canary", "shop"))
    with pytest.raises(
        PlatformError, match=r"^Deployment shop-canary, Deployment shop-baseline and Service shop-canary in"
    ):
        await ownership.refuse_strangers(platform.client, target(), ownership.release_tracks(target()), secret=False)


async def test_tracks_of_a_release_go_with_their_route(client: MemoryClient, platform: Kubernetes) -> None:
    app = target(preview=True)
    fence = (await platform.take_lease(app, "release", 60)).fence
    assert await platform.deploy(app, "preview", NEW, 1, fence)
    await platform.advance(app, "preview", fence)
    made = client.objects["httproutes", "shop-preview"]
    assert manifests.track_labels(app, "preview").items() <= made["metadata"]["labels"].items()
    assert await platform.retire(app, "preview", fence)
    assert sorted(name for _, name in client.objects) == ["release-shop", "shop", "shop", "shop"]


def managed(manager: str, fields: Object) -> Object:
    return {"managedFields": [{"manager": manager, "operation": "Update", "fieldsV1": fields}]}


@pytest.mark.parametrize(
    ("metadata", "sends_to", "own"),
    [
        (managed(MANAGER, {"f:spec": {"f:parentRefs": {}, "f:rules": {}}}), "shop-preview", True),
        (managed(MANAGER, {"f:spec": {"f:parentRefs": {}, "f:rules": {}}}), "other", False),
        (managed("kubectl", {"f:spec": {"f:parentRefs": {}, "f:rules": {}}}), "shop-preview", False),
        ({}, "shop-preview", False),
    ],
    ids=["an earlier version's", "elsewhere", "a person's", "unknown"],
)
async def test_a_previews_route_without_a_mark_is_told_by_who_made_it_and_for_what(
    client: MemoryClient, platform: Kubernetes, metadata: Object, sends_to: str, own: bool
) -> None:
    client.add(ROUTES, route("shop-preview", sends_to, **metadata))
    app = target(preview=True)
    fence = (await platform.take_lease(app, "release", 60)).fence
    assert await platform.retire(app, "preview", fence) is own
    assert (("httproutes", "shop-preview") in client.objects) is not own


async def test_the_registrys_secret_is_ours_or_it_is_named(client: MemoryClient, platform: Kubernetes) -> None:
    platform.registry_auth = AUTH
    fence = (await platform.take_lease(target(), "release", 60)).fence
    theirs = {"metadata": {"name": manifests.REGISTRY_SECRET}, "type": "Opaque", "data": {"token": "c2VjcmV0"}}
    client.add(SECRETS, theirs)
    said = "^Secret release-pipelines-registry in namespace shops is not this package's"
    with pytest.raises(PlatformError, match=said):
        await ownership.refuse_strangers(platform.client, target(), (), secret=True)
    with pytest.raises(PlatformError, match=said):
        await platform.deploy(target(), "stable", NEW, None, fence)
    assert client.objects["secrets", manifests.REGISTRY_SECRET]["data"] == theirs["data"]
    client.add(SECRETS, {**theirs, "metadata": {"name": manifests.REGISTRY_SECRET, **managed(MANAGER, {"f:type": {}})}})
    assert await platform.deploy(target(), "stable", NEW, None, fence)
    kept = client.objects["secrets", manifests.REGISTRY_SECRET]
    assert manifests.MANAGED.items() <= kept["metadata"]["labels"].items()
    assert kept["data"] == theirs["data"] | manifests.registry_secret(AUTH)["data"]


async def test_a_lease_of_somebody_else_is_not_taken(client: MemoryClient, platform: Kubernetes) -> None:
    client.add(LEASES, {"metadata": {"name": "release-shop"}, "spec": {"holderIdentity": "operator-0"}})
    with pytest.raises(
        PlatformError, match=r"^Lease release-shop \(held by operator-0\) in namespace shops is not this"
    ):
        await platform.take_lease(target(), "release", 60, force=True)
    assert client.objects["leases", "release-shop"]["spec"]["holderIdentity"] == "operator-0"


async def test_another_apps_canary_is_nobodys_stable(client: MemoryClient, platform: Kubernetes) -> None:
    fence = (await platform.take_lease(target(), "release", 60)).fence
    await platform.deploy(target(), "canary", NEW, 1, fence)
    other = target(
        app="other", workload=Workload(name="shop-canary"), router=RouterSettings(kind="gateway_api", route="other")
    )
    fence = (await platform.take_lease(other, "release", 60)).fence
    before = dict(client.objects)
    with pytest.raises(
        PlatformError, match=r"^shop-canary in namespace shops is the canary of shop, which a release made"
    ):
        await platform.deploy(other, "stable", NEW, None, fence)
    assert client.objects == before


async def test_the_fence_survives_as_long_as_anything_of_the_app_does(
    client: MemoryClient, platform: Kubernetes
) -> None:
    fence = (await platform.take_lease(target(), "one", 60)).fence
    assert client.objects["deployments", "shop"]["metadata"]["annotations"][FENCE] == str(fence)
    for key in (("leases", "release-shop"), ("httproutes", "shop")):
        del client.objects[key]
    assert (await platform.take_lease(target(), "two", 60)).fence > fence


async def test_what_stands_is_right_for_a_new_holder(client: MemoryClient, platform: Kubernetes) -> None:
    fence = (await platform.take_lease(target(), "one", 60)).fence
    await platform.deploy(target(), "canary", NEW, 1, fence)
    await platform.split(target(), ALL_TO_STABLE, RouteNote(), fence)
    fence = (await platform.take_lease(target(), "two", 60, force=True)).fence
    before = dict(client.objects)
    assert not await platform.deploy(target(), "canary", NEW, 1, fence)
    assert not await platform.deploy(target(), "stable", OLD, 1, fence)
    assert not await platform.split(target(), ALL_TO_STABLE, RouteNote(), fence)
    assert client.objects == before
