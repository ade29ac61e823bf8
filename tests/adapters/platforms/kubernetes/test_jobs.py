"""A pod for a check is set up like the app's own, and has ended when its command has."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.client import Object, Resource
from release_pipelines.adapters.platforms.kubernetes import jobs, manifests
from release_pipelines.core.errors import CommandEnded, PlatformError
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_manifests import stable, target

SAFE = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
LOCKED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def adopted() -> Object:
    there = stable()
    there["spec"]["template"]["metadata"]["labels"][manifests.TRACK] = "stable"
    pod = there["spec"]["template"]["spec"]
    pod |= {
        "serviceAccountName": "shop",
        "securityContext": SAFE,
        "imagePullSecrets": [{"name": "old"}],
        "tolerations": [{"key": "shop", "operator": "Exists"}],
        "nodeSelector": {"pool": "shop"},
        "affinity": {"podAntiAffinity": {}},
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    pod["containers"][0] |= {
        "securityContext": LOCKED,
        "resources": {"limits": {"memory": "64Mi", "example.com/gpu": "1"}, "requests": {"cpu": "10m"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}},
    }
    return there


def test_a_checks_pod_takes_what_the_apps_pods_have_but_not_their_work() -> None:
    body = jobs.job_pod(target(), "shop/tests:1", ["test"], {"BASE_URL": "http://x"}, 60, True, adopted())
    assert body["spec"] == {
        "serviceAccountName": "shop",
        "securityContext": SAFE,
        "imagePullSecrets": [{"name": "old"}, {"name": "release-pipelines-registry"}],
        "tolerations": [{"key": "shop", "operator": "Exists"}],
        "nodeSelector": {"pool": "shop"},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 60,
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "run",
                "image": "shop/tests:1",
                "command": ["test"],
                "env": [{"name": "BASE_URL", "value": "http://x"}],
                "securityContext": LOCKED,
                "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m"}},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }
        ],
    }


def test_a_checks_pod_beside_no_app_is_plain() -> None:
    spec = jobs.job_pod(target(), "shop/tests:1", ["test"], {}, 60, False)["spec"]
    assert spec["containers"] == [{"name": "run", "image": "shop/tests:1", "command": ["test"], "env": []}]
    assert "imagePullSecrets" not in spec


class Kubelet(MemoryClient):
    """Every pod gets a status, and is kept."""

    def __init__(self, status: dict[str, Any]) -> None:
        super().__init__()
        self.status = status
        self.made: list[Object] = []

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        body["metadata"]["name"] = body["metadata"]["generateName"] + "x"
        self.made.append(body)
        return await super().create(resource, namespace, {**body, "status": self.status})

    async def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        return f"{container} says hello"


def ended(code: int, **others: Any) -> dict[str, Any]:
    beside = {"name": "istio-proxy", "state": {"running": {}}, **others}
    own = {"name": "run", "state": {"terminated": {"exitCode": code}}}
    return {"phase": "Running", "containerStatuses": [beside, own]}


async def run(client: Kubelet, timeout: float = 60) -> str:
    there = adopted()
    there["metadata"]["resourceVersion"] = "1"
    client.objects["deployments", "web"] = there
    for name, selector in (("web", {"app": "web"}), ("all", {"team": "shop"})):
        client.objects["services", name] = {"metadata": {"name": name}, "spec": {"selector": selector}}
    return await kubernetes(client).run(target(), "shop/tests:1", ["test"], {}, timeout)


async def test_a_command_has_ended_when_its_own_container_has_whatever_runs_beside_it() -> None:
    client = Kubelet(ended(0))
    assert await run(client) == "run says hello"
    assert not [kind for kind, _ in client.objects if kind == "pods"]
    with pytest.raises(CommandEnded, match=r"ended with exit code 3. Last lines: run says hello") as command:
        await run(Kubelet(ended(3)))
    assert (command.value.exit_code, command.value.output) == (3, "run says hello")


async def test_a_command_that_does_not_end_in_time_has_no_exit_code() -> None:
    with pytest.raises(CommandEnded, match=r"did not end within 0 s") as command:
        await run(Kubelet({"phase": "Running"}), 0)
    assert command.value.exit_code is None


async def test_no_service_takes_a_checks_pod_for_one_of_the_app() -> None:
    client = Kubelet(ended(0))
    await run(client)
    labels = client.made[0]["metadata"]["labels"]
    assert labels == {"release-pipelines/run": "web", "app": "web-run", "team": "shop-run"}


async def test_what_keeps_a_command_from_starting_is_said_with_the_container() -> None:
    waiting = {"phase": "Pending", "initContainerStatuses": [
        {"name": "istio-init", "state": {"waiting": {"reason": "CreateContainerError", "message": "no such runtime"}}}
    ]}  # fmt: skip
    with pytest.raises(PlatformError, match=r"could not start: container istio-init: CreateContainerError: no such"):
        await run(Kubelet(waiting))
    failed = {"phase": "Failed", "message": "The node was low on resource: memory"}
    with pytest.raises(PlatformError, match=r"The node was low on resource: memory"):
        await run(Kubelet(failed))
