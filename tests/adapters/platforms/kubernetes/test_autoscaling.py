"""An autoscaler of stable, while a release stands beside it: never smaller than before, and as it was afterwards (R16)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.annotations import image_changed_by, scaled_by
from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, SERVICES, Object, Resource
from release_pipelines.adapters.platforms.kubernetes import access, autoscaling
from release_pipelines.core.errors import Forbidden
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes, target

HPAS = Resource("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
ROUTES = Resource("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute")
SCALED = Resource("keda.sh/v1alpha1", "scaledobjects", "ScaledObject")
OLD, NEW = (Artifact(app="web", version=f"1.{n}.0", image="shop/web", digest=f"sha256:{n:064}") for n in (0, 1))
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
QUEUE = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "10"}}}


def hpa(minimum: int | None = 2, metrics: Any = None, **metadata: Any) -> Object:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 10, "metrics": metrics or [CPU]}
    return {
        "metadata": {"name": "web", **metadata},
        "spec": {**spec, **({} if minimum is None else {"minReplicas": minimum})},
    }


async def cluster(*scalers: Object, stable: int = 6) -> MemoryClient:
    """The app with so many replicas, and the lease of a release."""
    served = {"autoscaling": ["v2", "v1"], "gateway__networking__k8s__io": ["v1"]}
    client = MemoryClient(**served)
    platform = kubernetes(client)
    lease = await platform.take_lease(target(), "r", 60)
    await platform.deploy(target(), "stable", OLD, stable, lease.fence)
    for it in scalers:
        client.add(HPAS, it)
    return client


def own(client: MemoryClient, name: str = "web") -> Object | None:
    return client.objects.get((HPAS.plural, name))


def minimum(client: MemoryClient) -> int | None:
    it = own(client)
    assert it
    return it["spec"].get("minReplicas")  # type: ignore[no-any-return]


async def begin(client: MemoryClient, replicas: int = 1, track: Track = "canary") -> None:
    await kubernetes(client).deploy(target(), track, NEW, replicas, 1)


async def end(client: MemoryClient) -> None:
    for track in ("canary", "preview", "baseline"):
        await kubernetes(client).retire(target(), track, 1)


@pytest.mark.parametrize("before", [2, None])
async def test_stable_keeps_its_size_as_long_as_a_track_stands_beside_it(before: int | None) -> None:
    client = await cluster(hpa(before))
    await begin(client)
    assert minimum(client) == 6
    client.objects[DEPLOYMENTS.plural, "web"]["spec"]["replicas"] = 9  # its load grows
    await begin(client, 3)
    assert minimum(client) == 6  # the measure is what it had before
    await end(client)
    assert minimum(client) == before
    assert autoscaling.KEPT not in own(client)["metadata"]["annotations"]  # type: ignore[index]
    changes = client.changes
    await end(client)
    assert client.changes == changes


async def test_a_release_that_was_killed_leaves_what_the_next_one_puts_back() -> None:
    client = await cluster(hpa(2))
    await begin(client)
    platform = kubernetes(client)
    lease = await platform.take_lease(target(), "next", 60, force=True)
    client.objects[DEPLOYMENTS.plural, "web"]["spec"]["replicas"] = 8
    await platform.deploy(target(), "canary", NEW, 1, lease.fence)
    assert minimum(client) == 8
    await platform.retire(target(), "canary", lease.fence)
    assert minimum(client) == 2


async def give_back(client: MemoryClient, at: float) -> None:
    """All traffic is stable's since ``at``."""
    rules = [{"backendRefs": [{"name": "web", "port": 8080}]}]
    client.add(ROUTES, {"metadata": {"name": "web"}, "spec": {"rules": rules}})
    await kubernetes(client).split(target(), ALL_TO_STABLE, RouteNote(started_at=at), 1)


def shrinking(client: MemoryClient, limited: bool = True) -> None:
    """The autoscaler says whether nothing but its minimum keeps it from scaling down."""
    condition = {"type": "ScalingLimited", "reason": "TooFewReplicas" if limited else "DesiredWithinRange"}
    own(client)["status"] = {"conditions": [condition]}  # type: ignore[index]


async def test_stable_is_not_taken_down_before_its_autoscaler_has_seen_that_the_traffic_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(autoscaling, "LOOK_SECONDS", 0.01)
    client = await cluster(hpa(2))
    await begin(client)
    shrinking(client)
    await give_back(client, time.time())
    ended = asyncio.create_task(end(client))
    async with asyncio.timeout(60):
        while ("deployments", "web-canary") in client.objects:  # noqa: ASYNC110 - nothing tells when it goes
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # nor a while after the track has gone
    assert (minimum(client), ended.done()) == (6, False)
    shrinking(client, limited=False)
    await asyncio.wait_for(ended, 60)
    assert minimum(client) == 2


async def test_an_autoscaler_that_wants_less_for_long_has_its_minimum_back_at_once() -> None:
    client = await cluster(hpa(2))
    await begin(client)
    shrinking(client)
    await give_back(client, time.time() - autoscaling.SEEN_SECONDS)
    await asyncio.wait_for(end(client), 60)
    assert minimum(client) == 2


async def test_what_a_team_sets_meanwhile_wins() -> None:
    client = await cluster(hpa(2))
    await begin(client)
    own(client)["spec"]["minReplicas"] = 4  # type: ignore[index]
    await begin(client, 3)
    assert minimum(client) == 4
    await end(client)
    assert minimum(client) == 4


async def test_a_minimum_that_is_high_enough_is_left_alone() -> None:
    client = await cluster(hpa(7))
    before = own(client)
    await begin(client)
    assert own(client) == before


async def test_an_autoscaler_that_keda_has_made_is_raised_where_keda_reads_it() -> None:
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "shop"}
    client = await cluster(hpa(2, [QUEUE], ownerReferences=[owner]))
    client.add(SCALED, {"metadata": {"name": "shop"}, "spec": {"minReplicaCount": 1}})
    await begin(client)
    assert minimum(client) == 2
    assert client.objects[SCALED.plural, "shop"]["spec"]["minReplicaCount"] == 6
    await end(client)
    assert client.objects[SCALED.plural, "shop"]["spec"] == {"minReplicaCount": 1}


# --- the track's own ----------------------------------------------------------------------------------------------


async def test_a_canary_follows_its_load_from_its_share_on_and_its_autoscaler_goes_with_it() -> None:
    client = await cluster(hpa(2, [CPU, QUEUE]))
    await begin(client, 1)
    canary = own(client, "web-canary")
    assert canary
    assert canary["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-canary"},
        "minReplicas": 1,
        "maxReplicas": 10,
        "metrics": [CPU],  # what counts all requests would count them twice
    }
    client.objects[DEPLOYMENTS.plural, "web-canary"]["spec"]["replicas"] = 5  # it has followed its load
    await begin(client, 3)
    assert own(client, "web-canary")["spec"]["minReplicas"] == 3  # type: ignore[index]
    assert client.objects[DEPLOYMENTS.plural, "web-canary"]["spec"]["replicas"] == 5
    await begin(client, 6)
    assert client.objects[DEPLOYMENTS.plural, "web-canary"]["spec"]["replicas"] == 6
    await end(client)
    assert own(client, "web-canary") is None


async def test_an_autoscaler_of_the_teams_own_that_has_the_tracks_name_is_neither_changed_nor_removed() -> None:
    foreign = {"metadata": {"name": "web-canary"}, "spec": {"minReplicas": 5, "scaleTargetRef": {}}}
    client = await cluster(hpa(2), foreign)
    before = own(client, "web-canary")
    await begin(client)
    await end(client)
    assert own(client, "web-canary") == before


@pytest.mark.parametrize(("metrics", "track"), [([QUEUE], "canary"), ([CPU], "baseline")])
async def test_a_track_that_would_not_be_comparable_gets_no_autoscaler(metrics: Any, track: Track) -> None:
    client = await cluster(hpa(2, metrics))
    await begin(client, 1, track)
    assert own(client, f"web-{track}") is None


# --- rights -------------------------------------------------------------------------------------------------------


class Reviewed(MemoryClient):
    """Allows everything but changes of autoscalers."""

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        if resource.plural != "selfsubjectaccessreviews":
            return await super().create(resource, namespace, body)
        asked = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": asked["group"] != "autoscaling" or asked["verb"] == "list"}}


@pytest.mark.parametrize("scaled", [False, True])
async def test_rights_on_autoscalers_are_asked_for_only_where_one_stands(scaled: bool) -> None:
    client: Any = Reviewed(autoscaling=["v2"])
    client.add(Resource("v1", "namespaces", "Namespace"), {"metadata": {"name": "default"}})
    if not scaled:
        return await access.check(client, target(), SERVICES, secrets=False, preview=False)
    client.add(HPAS, hpa())
    with pytest.raises(Forbidden, match=r"create, patch, delete horizontalpodautoscalers\.autoscaling"):
        await access.check(client, target(), SERVICES, secrets=False, preview=False)
    return None


async def test_a_release_whose_account_may_not_change_autoscalers_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    client = await cluster(hpa(2))
    real = client.patch

    async def patch(resource: Resource, *more: Any) -> Object:
        if resource == HPAS:
            raise Forbidden("The connection's account may not patch horizontalpodautoscalers.")
        return await real(resource, *more)

    monkeypatch.setattr(client, "patch", patch)
    await begin(client)
    await end(client)
    assert minimum(client) == 2


# --- who changed what stable runs ---------------------------------------------------------------------------------


def test_who_put_another_image_on_stable_is_named() -> None:  # R14
    def wrote(manager: str, at: str, *containers: str) -> Object:
        fields = {f'k:{{"name":"{it}"}}': {"f:image": {}} for it in containers}
        spec = {"f:template": {"f:spec": {"f:containers": fields}}}
        return {"manager": manager, "time": at, "fieldsV1": {"f:spec": spec}}

    ours, argo = (
        wrote("release-pipelines", "2026-01-01T00:00:00Z", "web"),
        wrote("argocd", "2026-01-02T00:00:00Z", "web"),
    )
    helm = wrote("helm", "2026-01-03T00:00:00Z", "sidecar")

    def seen(*fields: Object) -> str | None:
        return image_changed_by({"metadata": {"managedFields": list(fields)}}, "web")

    assert seen(ours, argo, helm) == "argocd"
    assert seen(argo | {"time": "2025-01-01T00:00:00Z"}, ours, helm) is None
    assert seen() is None


def test_who_scaled_stable_is_named_unless_it_was_an_autoscaler() -> None:
    def wrote(manager: str, at: str, **more: str) -> Object:
        return {"manager": manager, "time": at, "fieldsV1": {"f:spec": {"f:replicas": {}}}, **more}

    def seen(*fields: Object) -> str | None:
        return scaled_by({"metadata": {"managedFields": list(fields)}})

    ours, kubectl = (
        wrote("release-pipelines", "2026-01-01T00:00:00Z"),
        wrote("kubectl", "2026-01-02T00:00:00Z", subresource="scale"),
    )
    autoscaler = wrote("kube-controller-manager", "2026-01-03T00:00:00Z", subresource="scale")
    assert seen(ours, kubectl) == "kubectl"
    assert seen(ours, kubectl, autoscaler) is None
    assert seen(ours) is None
    assert seen() is None
