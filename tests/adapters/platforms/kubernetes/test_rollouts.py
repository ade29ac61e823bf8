"""Rollouts of many pods: progress counts, not age (R7), and what stands in the way is said in Kubernetes' own words."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, cast

import pytest

from release_pipelines.adapters.kubernetes.client import EVENTS, Object, Resource
from release_pipelines.adapters.platforms.kubernetes import readiness
from release_pipelines.adapters.platforms.kubernetes.evidence import STATED_AT, RolloutEvidence, repository_in
from release_pipelines.adapters.platforms.kubernetes.state import track_status
from release_pipelines.core.model.observation import TrackStatus
from tests.adapters.platforms.kubernetes.memory import MemoryClient, target

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
START = 1_000_000_000


def at(seconds: float) -> str:
    """So many seconds after the change was stated, as Kubernetes writes it."""
    return datetime.fromtimestamp(START + seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(number: int, made: float, ready: float | None = None, **more: Any) -> dict[str, Any]:
    """A pod that was made, and became ready, so many seconds after the change."""
    state = {"type": "Ready", "status": "False", "lastTransitionTime": at(made)}
    if ready is not None:
        state = {"type": "Ready", "status": "True", "lastTransitionTime": at(ready)}
    status = {"phase": "Running", "conditions": [state, *more.pop("conditions", [])], **more.pop("status", {})}
    owner = [{"uid": "r"}]
    return {
        "metadata": {
            "name": f"web-{number}",
            "uid": f"p{number}",
            "ownerReferences": owner,
            "creationTimestamp": at(made),
            **more,
        },
        "status": status,
    }


def rollout(
    now: float,
    pods: list[dict[str, Any]],
    *,
    wanted: int = 40,
    timeout: float = 60,
    counts: dict[str, Any] | None = None,
    stated: bool = True,
    events: list[dict[str, Any]] | None = None,
    fields: list[dict[str, Any]] | None = None,
    replica_set: dict[str, Any] | None = None,
    **spec: Any,
) -> TrackStatus:
    """How a Deployment of 40 stands, so many seconds after the change."""
    startup = spec.pop("startup", None)
    container = {"name": "web", "image": f"shop/web@{DIGEST}", **({"startupProbe": startup} if startup else {})}
    marks = {readiness.REVISION: "5", **({readiness.STATED_AT: f"{START}.0"} if stated else {})}
    deployment = {
        "metadata": {"name": "web", "uid": "d", "generation": 2, "annotations": marks, "managedFields": fields},
        "spec": {"replicas": wanted, "template": {"spec": {"containers": [container]}}, **spec},
        "status": {
            "observedGeneration": 2,
            "replicas": wanted + 1,
            "updatedReplicas": len(pods),
            "readyReplicas": wanted,
            **(counts or {}),
        },
    }
    own = {
        "metadata": {
            "name": "web-5",
            "uid": "r",
            "ownerReferences": [{"uid": "d"}],
            "annotations": {readiness.REVISION: "5"},
            "creationTimestamp": at(0),
        },
        **(replica_set or {}),
    }
    seen = RolloutEvidence(deployment, [own], pods, events or [], START + now, timeout, "web")
    return readiness.status(seen, "stable", readiness.trouble(seen, "stable"))


def progressing(updated: float, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"conditions": [{"type": "Progressing", "status": status, "lastUpdateTime": at(updated), **more}]}


def warning(uid: str, reason: str, message: str, seconds: float = 5) -> dict[str, Any]:
    return {
        "involvedObject": {"uid": uid},
        "reason": reason,
        "message": message,
        "type": "Warning",
        "lastTimestamp": at(seconds),
    }


# --- progress, not age ------------------------------------------------------------------------------------------------


def test_a_rolling_update_that_goes_on_takes_as_long_as_it_takes() -> None:
    pods = [pod(it, made=20 * it, ready=20 * it + 10) for it in range(13)]
    assert rollout(300, pods).failure is None
    assert (rollout(400, pods).failure or "").startswith("Not ready after 60 s: 40 of 40 replicas are; 13 of 40 pods")


def test_progress_that_no_pod_shows_any_more_is_read_from_the_deployment() -> None:
    ended = [{"manager": "kube-controller-manager", "subresource": "status", "time": at(280)}]
    pods = [pod(it, made=0, ready=10) for it in range(40)]
    assert rollout(300, pods).failure
    assert rollout(300, pods, fields=ended).failure is None  # an old pod has ended
    assert rollout(300, pods, counts=progressing(280)).failure is None
    assert rollout(300, pods, counts=progressing(280, "False", reason="ProgressDeadlineExceeded"), fields=ended).failure


def test_a_change_of_scale_is_progress_and_a_teams_annotation_is_none() -> None:
    pods = [pod(it, made=-5000, ready=-4990) for it in range(39)]
    by = {"manager": "kube-controller-manager", "time": at(280)}
    assert rollout(300, pods, fields=[{**by, "subresource": "scale"}]).failure is None
    assert rollout(300, pods, fields=[by]).failure


def test_pods_have_the_time_that_they_have_to_stay_ready() -> None:
    pods = [pod(it, made=0, ready=10) for it in range(40)]
    assert rollout(180, pods, minReadySeconds=180).failure is None
    assert rollout(249, pods, minReadySeconds=180).failure is None
    assert (rollout(251, pods, minReadySeconds=180).failure or "").startswith("Not ready after 240 s")


def test_one_pod_that_does_not_become_ready_fails_a_rollout_that_goes_on() -> None:
    pods = [pod(it, made=it, ready=it + 1) for it in range(100)]
    assert rollout(59, [pod(100, made=0), *pods]).failure is None
    assert "pod web-100" in (rollout(61, [pod(100, made=0), *pods]).failure or "")


def test_a_pod_has_the_time_of_its_startup_probe_too() -> None:
    probe = {"periodSeconds": 5, "failureThreshold": 20}
    assert rollout(155, [pod(1, made=0)], wanted=1, startup=probe).failure is None
    assert (rollout(161, [pod(1, made=0)], wanted=1, startup=probe).failure or "").startswith("Not ready after 160 s")


def test_each_step_of_a_pod_is_progress() -> None:
    found = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": at(50)}]
    assert rollout(100, [pod(1, made=0, conditions=found)], wanted=1).failure is None
    running = {"containerStatuses": [{"name": "web", "ready": False, "state": {"running": {"startedAt": at(100)}}}]}
    assert rollout(150, [pod(1, made=0, conditions=found, status=running)], wanted=1).failure is None
    assert rollout(161, [pod(1, made=0, conditions=found, status=running)], wanted=1).failure


def test_a_replica_of_a_drained_node_gets_its_time_from_its_own_start() -> None:
    pods = [pod(it, made=-9000, ready=-8990) for it in range(39)]
    assert rollout(30, [*pods, pod(39, made=0)], stated=False).failure is None
    assert rollout(61, [*pods, pod(39, made=0)], stated=False).failure


# --- reasons ----------------------------------------------------------------------------------------------------------

QUOTA = 'pods "web-x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=13, limited: pods=13'


def test_pods_that_are_refused_say_why() -> None:
    failing = {"status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": QUOTA}]}}
    pods = [pod(it, made=0, ready=5) for it in range(13)]
    status = rollout(30, pods, replica_set=failing)
    assert status.waiting == f"pods cannot be created: {QUOTA}"
    assert (rollout(90, pods, replica_set=failing).failure or "").endswith(f"pods cannot be created: {QUOTA}.")


def test_a_deployment_that_gets_no_pods_says_its_last_warning() -> None:
    denied = warning("r", "FailedCreate", 'admission webhook "pods.policy" denied the request: no owner label')
    assert rollout(30, [], events=[denied]).waiting == (
        '0 of 40 pods were created; admission webhook "pods.policy" denied the request: no owner label'
    )


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("FailedMount", 'MountVolume.SetUp failed for volume "prices" : configmap "prices" not found'),
        (
            "FailedAttachVolume",
            "Multi-Attach error for volume pvc-1: Volume is already exclusively attached to one node",
        ),
        (
            "FailedCreatePodSandBox",
            "Failed to create pod sandbox: plugin type=bridge failed: no IP addresses available",
        ),
        ("NodeNotReady", "Node is not ready"),
    ],
)
def test_a_pod_that_cannot_start_says_what_kubernetes_says(reason: str, message: str) -> None:
    starting = {"containerStatuses": [{"name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}}]}
    pods = [pod(1, made=0, status=starting)]
    assert rollout(30, pods, wanted=1, events=[warning("p1", reason, message)]).waiting == f"pod web-1: {message}"
    assert rollout(30, pods, wanted=1).waiting == "pod web-1: its containers are being started"


def test_an_evicted_pod_is_none_of_those_that_are_wanted_and_is_named() -> None:
    told = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    evicted = pod(1, made=-500, status=told)
    status = rollout(30, [evicted], wanted=1, counts={"readyReplicas": 0, "replicas": 0})
    assert status.failure is None
    assert status.waiting == (
        "0 of 1 pods were created; pod web-1 was ended: Evicted: The node was low on resource: memory"
    )
    pending = [
        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient memory."}
    ]
    status = rollout(30, [evicted, pod(2, made=10, conditions=pending)], wanted=1)
    assert status.waiting == (
        "pod web-2: no node takes it: 0/1 nodes are available: 1 Insufficient memory; "
        "pod web-1 was ended: Evicted: The node was low on resource: memory"
    )


def test_a_preempted_pod_is_named() -> None:
    disrupted = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "Preempted by y",
    }
    leaving = pod(1, made=0, conditions=[disrupted], deletionTimestamp=at(40))
    waiting = rollout(30, [leaving, pod(2, made=20)], wanted=1).waiting
    assert (waiting or "").endswith("; pod web-1 was ended: PreemptionByScheduler: Preempted by y")


def test_a_gate_of_readiness_that_is_closed_is_said() -> None:
    gate = 'the status of pod readiness gate "load-balancer" is not "True"'
    it = pod(1, made=0, status={"containerStatuses": [{"name": "web", "ready": True, "state": {"running": {}}}]})
    it["status"]["conditions"][0] |= {"reason": "ReadinessGatesNotReady", "message": gate}
    assert rollout(30, [it], wanted=1).waiting == f"pod web-1: {gate}"


# --- what runs --------------------------------------------------------------------------------------------------------


def test_a_tag_that_was_pushed_again_is_what_its_newest_pod_runs() -> None:
    deployment = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "shop/web:latest"}]}}}}

    def runs(number: int, made: float, image: str) -> dict[str, Any]:
        return pod(number, made, made, status={"containerStatuses": [{"name": "web", "imageID": image}]})

    pods = [runs(1, 20, f"shop/web@{OTHER}"), runs(2, 10, f"shop/web@{DIGEST}"), runs(3, 30, DIGEST)]
    assert readiness.running(deployment, pods, "web") == (OTHER, "latest")
    assert readiness.running(deployment, pods[2:], "web") == (None, "latest")


@pytest.mark.parametrize("image", ["r:5000/a/b", "r:5000/a/b:1", f"r:5000/a/b@{DIGEST}", f"r:5000/a/b:1@{DIGEST}"])
def test_the_repository_of_an_image_is_its_name_without_tag_and_digest(image: str) -> None:
    assert repository_in(image) == "r:5000/a/b"
    assert repository_in(image.removeprefix("r:5000/a/")) == "b"


def test_a_track_says_which_repository_it_runs_from() -> None:
    assert rollout(0, []).image == "shop/web"


@pytest.mark.parametrize(("age", "asked"), [(0.5, 0), (30.0, 1)])
async def test_nobody_asks_why_pods_are_not_there_a_moment_after_the_change(age: float, asked: int) -> None:
    class Client(MemoryClient):
        questions = 0

        async def find(
            self, resource: Resource, namespace: str | None, labels: str = "", fields: str = ""
        ) -> list[Object]:
            self.questions += resource == EVENTS
            return await super().find(resource, namespace, labels, fields)

    client = Client()
    waiting = {
        "metadata": {"name": "web", "uid": "d", "generation": 1, "annotations": {STATED_AT: str(time.time() - age)}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web"}]},
            },
        },
        "status": {"observedGeneration": 1},
    }
    status = await track_status(cast("Any", client), target(), "stable", waiting)
    assert not status.settled
    assert client.questions == asked
