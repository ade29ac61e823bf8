"""What a team's app already has goes through a release, and pods for checks are set up like the app's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.router import TRACK
from release_pipelines.adapters.platforms.kubernetes.jobs import job_pod, run_pod
from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.target import Target
from release_pipelines.spec.target import target as target_of
from tests.kubernetes.conftest import apply, deployment, kubectl, service
from tests.kubernetes.release import Release
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.test_cluster import ended
from tests.kubernetes.world import World, all_of, team_deployment, team_route

PYTHON = "/usr/bin/python3"
STEPS = [{"weight": 50, "hold": 6}]
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "words"},
    "stringData": {"greeting": "from the secret", "colour": "blue"},
}
BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1},
}
AFFINITY = {"sessionAffinity": "ClientIP", "trafficDistribution": "PreferClose"}


def from_secret(name: str) -> dict[str, Any]:
    """A variable as a Deployment takes it from a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "words", "key": name.lower()}}}


def with_everything(world: World) -> list[dict[str, Any]]:
    """A team's objects: variables of a Secret, a pull secret, a sidecar of the same image, and ports in an order of their own."""
    own = team_deployment(world.artifact("1.0.0"), 2, {})
    pod = own["spec"]["template"]["spec"]
    (web,) = pod["containers"]
    web |= {"env": [from_secret("GREETING"), from_secret("COLOUR")], "ports": [{"name": "web", "containerPort": 8080}]}
    beside = {"name": "beside", "image": web["image"], "env": [{"name": "PORT", "value": "9100"}]}
    pod |= {"containers": [beside, web], "imagePullSecrets": [{"name": "old-registry"}]}
    reached = service(world.namespace)
    reached["metadata"]["annotations"] = {"example.com/protocol": "http"}
    ports = [{"name": "metrics", "port": 9100}, {"name": "http", "port": 80, "targetPort": "web"}]
    reached["spec"] |= {"ports": ports, **AFFINITY}
    route = team_route("gateway_api", world.host)
    route["spec"]["rules"][0]["backendRefs"][0]["port"] = 80
    return [SECRET, BUDGET, own, reached, route]


async def pod_of(world: World, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pod template of a Deployment: images, and all of its spec."""
    spec = (await world.get("deployment", name))["spec"]["template"]["spec"]
    return {it["name"]: it["image"] for it in spec["containers"]}, spec


@side_by_side
async def test_all_that_a_team_has_goes_through_a_canary_and_its_promotion(world: World) -> None:
    world.platform.registry_auth = {"serveraddress": "127.0.0.1:5000", "username": "robot", "password": "opensesame"}
    await world.apply(*with_everything(world))
    await world.until(lambda observed: observed.track("stable").settled)
    await world.serves("1.0.0")
    strategy = {"canary": {"bake": 3, "retire_after": 1, "steps": STEPS}}
    spec = world.spec(strategy, env={"GREETING": "from the file"}, memory="128Mi")
    new = world.artifact("1.1.0")
    release = Release(world, spec, new)
    said = " ".join(await world.platform.remarks(release.target))
    assert "takes GREETING from Secret words; from this release on it has the text of the app's file" in said
    assert "PodDisruptionBudget web will not reach the canary's pods: they have app=web-canary" in said
    assert "gets the limit of the app's file: memory 128Mi" in said

    async def looked() -> None:
        await world.held("step_50")
        images, _ = await pod_of(world, "web-canary")
        assert set(images.values()) == {new.reference}
        beside = await world.get("service", "web-canary")
        assert {key: beside["spec"][key] for key in AFFINITY} == AFFINITY
        assert beside["metadata"]["annotations"]["example.com/protocol"] == "http"
        assert [it["port"] for it in beside["spec"]["ports"]] == [9100, 80]

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), looked())
        assert ending.outcome == "released", ending.sentence
        await world.serves("1.1.0")
    assert visits.lost == []
    assert await world.configured() == {("1.1.0", "from the file", "blue")}
    images, pod = await pod_of(world, "web")
    assert set(images.values()) == {new.reference}
    assert {it["name"] for it in pod["imagePullSecrets"]} == {"release-pipelines-registry", "old-registry"}
    await world.clean("Secret/words", "Secret/release-pipelines-registry")

    without = target_of(world.spec(strategy), "production")  # the variable has left the file
    fence = (await world.platform.take_lease(without, "later", 60)).fence
    await world.platform.deploy(without, "stable", world.artifact("1.0.0"), None, fence)
    await world.until(lambda observed: observed.track("stable").settled)
    await world.serves("1.0.0")
    assert await world.configured() == {("1.0.0", "from the secret", "blue")}


async def test_a_canary_keeps_all_labels_beside_a_stable_that_a_first_release_made(
    cluster: Kubernetes, target: Callable[..., Target], artifacts: Callable[..., Artifact], namespace: str
) -> None:
    app, old, new = target("istio"), artifacts("1.0.0"), artifacts("1.1.0")
    fence = (await cluster.take_lease(app, "release", 60)).fence
    await cluster.deploy(app, "stable", old, None, fence)
    assert (await ended(cluster, app, "stable", fence)).settled
    await cluster.deploy(app, "canary", new, 1, fence)
    assert (await ended(cluster, app, "canary", fence)).settled
    both = json.loads(kubectl("get", "pods", "-l", "app=web", "-n", namespace, "-o", "json"))["items"]
    assert sorted(it["metadata"]["labels"][TRACK] for it in both) == ["canary", "stable"]
    assert (await cluster.ask(app, "stable", "/")).version == "1.0.0"
    assert (await cluster.ask(app, "canary", "/")).version == "1.1.0"
    slices = json.loads(kubectl("get", "endpoints", "web", "-n", namespace, "-o", "json"))["subsets"]
    assert [it["targetRef"]["name"] for each in slices for it in each["addresses"]] == [
        it["metadata"]["name"] for it in both if it["metadata"]["labels"][TRACK] == "stable"
    ]


def locked(namespace: str, artifact: Artifact) -> dict[str, Any]:
    """A Deployment that the strictest Pod Security and a quota accept."""
    own = deployment(namespace, artifact, 1)
    pod = own["spec"]["template"]["spec"]
    pod["securityContext"] = {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}}
    pod["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    pod["containers"][0] |= {
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"limits": {"memory": "128Mi", "cpu": "500m"}, "requests": {"cpu": "25m"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return own


def quota(namespace: str, pods: int) -> dict[str, Any]:
    hard = {"pods": str(pods), "limits.memory": "1Gi", "limits.cpu": "2", "requests.cpu": "1"}
    meta = {"name": "quota", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}}


async def test_a_check_runs_where_pods_are_restricted_and_counted(
    cluster: Kubernetes, target: Callable[..., Target], artifacts: Callable[..., Artifact], namespace: str
) -> None:
    app, good = target(), artifacts("1.0.0")
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    ports = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "nobody", "port": 81}]
    nobody = {**service(namespace)["spec"], "ports": ports}
    apply(quota(namespace, 5), locked(namespace, good), {**service(namespace), "spec": nobody})
    fence = (await cluster.take_lease(app, "release", 60)).fence
    assert (await ended(cluster, app, "stable", fence)).settled
    write = "open('/tmp/x', 'w').write('x'); print('written')"
    assert "written" in await cluster.run(app, good.reference, [PYTHON, "-c", write], {}, 60)
    assert (await cluster.ask(app, "stable", "/")).version == "1.0.0"
    elsewhere = app.model_copy(update={"workload": app.workload.model_copy(update={"port": 81})})
    with pytest.raises(PlatformError, match=r"stable of web in production was asked .*connection refused"):
        await cluster.ask(elsewhere, "stable", "/")
    apply(quota(namespace, 1))
    with pytest.raises(PlatformError, match=r"refused to create pods .*exceeded quota") as caught:
        await cluster.run(app, good.reference, [PYTHON, "-c", write], {}, 60)
    assert not isinstance(caught.value, Forbidden)


@pytest.mark.parametrize(("code", "said"), [(0, None), (3, "exit code 3")], ids=["passes", "fails"])
async def test_a_check_has_ended_when_its_command_has_whatever_runs_beside_it(
    cluster: Kubernetes,
    target: Callable[..., Target],
    artifacts: Callable[..., Artifact],
    namespace: str,
    code: int,
    said: str | None,
) -> None:
    app, image = target(), artifacts("1.0.0").reference
    pod = job_pod(app, image, [PYTHON, "-c", f"print('tested'); exit({code})"], {}, 60, False)
    pod["spec"]["containers"].append({"name": "injected", "image": image})  # a server: it never ends
    if said is None:
        assert "tested" in await run_pod(cluster.client, app, pod, 60)
    else:
        with pytest.raises(PlatformError, match=f"{said}.*tested"):
            await run_pod(cluster.client, app, pod, 60)
