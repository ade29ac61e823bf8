"""What stands and is not carried along is said before a release; what it would come to no end with is refused."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.client import Client, Object, Resource
from release_pipelines.adapters.platforms.kubernetes import adopted, manifests
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.target import Target, Update, Workload
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_manifests import stable, target
from tests.adapters.platforms.kubernetes.test_services import HTTP, METRICS, service

POLICY = {
    "metadata": {"name": "only-the-gateway"},
    "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"podSelector": {}}]}]},
}
DATABASE = {
    "metadata": {"name": "database"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "db"}},
        "ingress": [{"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}}]}],
    },
}  # fmt: skip
BUDGET = {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1}}
ALL = {"metadata": {"name": "deny-all"}, "spec": {"podSelector": {}}}
TEAM = {"metadata": {"name": "team"}, "spec": {"podSelector": {"matchLabels": {"team": "shop"}}}}
RULE = {"metadata": {"name": "outliers"}, "spec": {"host": "web.default.svc.cluster.local"}}
OTHER_RULE = {"metadata": {"name": "other"}, "spec": {"host": "web.elsewhere"}}
SCALER = {"metadata": {"name": "grow"}, "spec": {"targetRef": {"kind": "Deployment", "name": "web"}}}
SERVED = {
    "gateway__networking__k8s__io": ["v1"],
    "networking__k8s__io": ["v1"],
    "policy": ["v1"],
    "networking__istio__io": ["v1"],
    "autoscaling__k8s__io": ["v1"],
}


class Cluster(MemoryClient):
    """With what stands in it."""

    def __init__(self, *objects: tuple[str, Object]) -> None:
        super().__init__(**SERVED)
        self.hidden: set[str] = set()
        for plural, it in objects:
            it.setdefault("metadata", {}).setdefault("resourceVersion", "1")
            self.objects[plural, it["metadata"]["name"]] = it

    async def find(self, resource: Resource, namespace: str | None, labels: str = "", fields: str = "") -> list[Object]:
        if resource.plural in self.hidden:
            raise Forbidden("no")
        return await super().find(resource, namespace, labels, fields)


def cluster(selector: dict[str, str] | None = None, deployment: Object | None = None) -> Cluster:
    there = service(METRICS, HTTP)
    there["spec"]["selector"] = selector or {"app": "web"}
    policies = [("networkpolicies", it) for it in (POLICY, DATABASE, ALL, TEAM)]
    named = [("destinationrules", RULE), ("destinationrules", OTHER_RULE), ("verticalpodautoscalers", SCALER)]
    return Cluster(
        ("deployments", deployment or stable()),
        ("services", there),
        *policies,
        ("poddisruptionbudgets", BUDGET),
        *named,
    )


async def said(client: MemoryClient, app: Target | None = None) -> list[str]:
    return await kubernetes(client).remarks(app or target())


async def test_what_selects_pods_and_will_miss_the_canarys_is_named_with_what_mends_it() -> None:
    (missed,) = [it for it in await said(cluster()) if "will not reach" in it]
    assert missed == (
        "NetworkPolicy only-the-gateway, NetworkPolicy database, PodDisruptionBudget web will not reach the canary's pods: they have "
        "app=web-canary, so that no Service takes them for stable's. Select them by another label, or give stable's pods and what "
        "selects them for traffic the label `release-pipelines/track: stable`: then the canary keeps all others"
    )


async def test_a_service_that_tells_the_tracks_apart_leaves_nothing_to_say_of_labels() -> None:
    client = cluster({"app": "web", manifests.TRACK: "stable"})
    client.objects["deployments", "web"]["spec"]["template"]["metadata"]["labels"][manifests.TRACK] = "stable"
    assert not [it for it in await said(client) if "will not reach" in it]


async def test_what_is_for_stable_by_its_name_is_named() -> None:
    (named,) = [it for it in await said(cluster()) if "by its name" in it]
    assert named.startswith(
        "DestinationRule outliers, VerticalPodAutoscaler grow: for web by its name, and not for web-canary"
    )


async def test_what_may_not_be_seen_is_no_obstacle() -> None:
    client = cluster()
    client.hidden = {"networkpolicies", "poddisruptionbudgets", "destinationrules", "verticalpodautoscalers"}
    assert not [it for it in await said(client) if "will not" in it or "by its name" in it]


async def test_a_rolling_update_has_no_second_track_to_miss() -> None:
    rolled = target().model_copy(update={"update": Update()})
    assert not [it for it in await said(cluster(), rolled) if "canary" in it]


def workload(**keys: Any) -> Target:
    there = target()
    return there.model_copy(update={"workload": Workload(name="web", **keys)})


async def test_what_the_file_says_otherwise_is_told_with_what_counts() -> None:
    there = stable()
    container = there["spec"]["template"]["spec"]["containers"][0]
    container |= {
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 3000}},
        "resources": {"limits": {"memory": "1Gi"}},
        "env": [{"name": "DB_URL", "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}}],
    }
    there["spec"]["template"]["spec"]["containers"].append({"name": "worker", "image": "shop/web:0.9.0"})
    app = workload(port=3000, health="/health", replicas=2, memory="512Mi", env={"DB_URL": "postgres://"})
    remarks = await said(cluster(deployment=there), app)
    assert [it for it in remarks if "canary" not in it] == [
        "Deployment web has 4 replicas, and keeps that number; the app's file says 2",
        "Container web of Deployment web is asked at /ready whether it is ready, and stays so; the app's file says /health",
        "Service web leads to no port 3000, which the app's file says: its own ports stay",
        "Container web of Deployment web gets the limit of the app's file: memory 512Mi, now 1Gi",
        "Container web of Deployment web takes DB_URL from Secret db; from this release on it has the text of the app's file",
        "Container worker runs another version of the app, shop/web:0.9.0, and keeps it",
    ]


async def test_what_the_file_does_not_say_differs_from_nothing() -> None:
    there = stable()
    there["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/ready", "port": 1}}
    frozen = Target.model_validate_json(workload().model_dump_json())
    assert [it for it in await said(cluster(deployment=there), frozen) if "canary" not in it] == []
    given = Target.model_validate_json(workload(replicas=2).model_dump_json())
    assert [it for it in await said(cluster(deployment=there), given) if "replicas" in it]


async def test_what_stands_in_the_way_of_two_versions_is_told() -> None:
    there = stable()
    there["spec"]["strategy"] = {"type": "Recreate"}
    pod = there["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["containers"][0]["ports"] = [{"containerPort": 8080, "hostPort": 80}]
    remarks = " ".join(await said(cluster(deployment=there)))
    assert "`strategy: Recreate`" in remarks
    assert "the nodes' port 80" in remarks
    assert "the volume data" in remarks


async def test_a_deployment_that_is_paused_is_refused() -> None:
    there = stable()
    there["spec"]["paused"] = True
    client = cluster(deployment=there)
    with pytest.raises(
        PlatformError, match=r"Deployment web in default is paused.*kubectl rollout resume deployment web"
    ):
        await adopted.refuse(as_client(client), target(), there)
    there["metadata"]["annotations"] = {"release-pipelines/share": "25"}  # a rolling release that was interrupted
    await adopted.refuse(as_client(client), target(), there)


async def test_a_service_of_which_nothing_tells_where_the_app_answers_is_refused_before_a_route_is_made() -> None:
    client = cluster()
    with pytest.raises(PlatformError, match=r"`workloads\[0\].port` is expected to be one that they lead to"):
        await adopted.refuse(as_client(client), workload(port=3000), stable())


def as_client(client: MemoryClient) -> Client:
    return kubernetes(client).client
