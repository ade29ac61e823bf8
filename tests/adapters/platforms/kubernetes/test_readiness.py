"""Ready means ready (R7), judged from objects as a cluster gives them."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.platforms.kubernetes import readiness
from release_pipelines.adapters.platforms.kubernetes.readiness import RolloutEvidence
from release_pipelines.core.model.observation import TrackStatus

DIGEST = "sha256:" + "a" * 64
NOW = 1_000_000_100.0  # 100 s after the change was stated
STATED = "1000000000.000"
CREATED = "2001-09-09T01:46:41Z"  # 1 s after it


def status_of(
    *containers: dict[str, Any],
    events: list[dict[str, Any]] | None = None,
    deployment: dict[str, Any] | None = None,
    conditions: list[dict[str, Any]] | None = None,
    track: Any = "canary",
    timeout: float = 300,
    log: str = "",
) -> TrackStatus:
    counts = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, **(deployment or {})}
    own = {
        "metadata": {
            "name": "web",
            "uid": "d",
            "generation": 2,
            "annotations": {readiness.REVISION: "5", readiness.STATED_AT: STATED},
        },
        "spec": {
            "replicas": 1,
            "template": {
                "metadata": {"annotations": {readiness.DIGEST: DIGEST, readiness.VERSION: "1.1.0"}},
                "spec": {"containers": [{"name": "web", "image": f"shop/web@{DIGEST}"}]},
            },
        },
        "status": counts,
    }
    replica_set = {
        "metadata": {"uid": "r", "ownerReferences": [{"uid": "d"}], "annotations": {readiness.REVISION: "5"}}
    }
    unready = [{"type": "Ready", "status": "False", "lastTransitionTime": CREATED}]
    pod = {
        "metadata": {"name": "web-1", "uid": "p", "ownerReferences": [{"uid": "r"}], "creationTimestamp": CREATED},
        "status": {"conditions": conditions or unready, "containerStatuses": list(containers)},
    }
    seen = RolloutEvidence(own, [replica_set], [pod], events or [], NOW, timeout, "web")
    return readiness.status(seen, track, readiness.trouble(seen, track), log)


def container(state: dict[str, Any], restarts: int = 0, last: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": "web", "ready": False, "restartCount": restarts, "state": state, "lastState": last or {}}


def wait(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def event(reason: str, message: str, at: str = "2001-09-09T01:46:50Z") -> dict[str, Any]:
    return {"involvedObject": {"uid": "p"}, "reason": reason, "message": message, "lastTimestamp": at}


READY = {"readyReplicas": 1, "availableReplicas": 1}


def test_a_rollout_is_settled_when_all_is_ready_and_nothing_old_is_left() -> None:
    done = status_of(deployment=READY)
    assert (done.settled, done.digest, done.version, done.wanted, done.ready) == (True, DIGEST, "1.1.0", 1, 1)
    assert not status_of(deployment={**READY, "replicas": 2}).settled
    assert not status_of(deployment={**READY, "observedGeneration": 1}).settled
    assert not status_of(deployment={**READY, "updatedReplicas": 0}).settled
    assert not status_of(deployment={"readyReplicas": 1}).settled


def test_a_crash_loop_fails_with_the_last_lines() -> None:
    ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
    status = status_of(container(wait("CrashLoopBackOff"), 2, ended), log="one\n\ntwo\n")
    assert status.failure == (
        "Container web of pod web-1 keeps ending: exit code 3, restarted 2 times. Last log lines: one | two"
    )
    assert not status.settled


def test_memory_that_runs_out_is_said() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    assert "OOMKilled" in (status_of(container(wait("CrashLoopBackOff"), 3, ended)).failure or "")


def test_one_restart_of_a_slow_start_is_no_failure() -> None:
    ended = {"terminated": {"exitCode": 1}}
    assert status_of(container({"running": {}}, 1, ended)).failure is None


@pytest.mark.parametrize(
    "said",
    [
        "Failed to pull image: rpc error: code = NotFound desc = shop/web@sha256:aa: not found",
        "Failed to pull image: manifest unknown",
        "Failed to pull image: pull access denied, authorization failed",
        "Failed to pull image: unexpected status: 403 Forbidden",
    ],
)
def test_an_image_that_is_not_there_or_not_allowed_fails_at_once(said: str) -> None:
    status = status_of(container(wait("ImagePullBackOff", "Back-off")), events=[event("Failed", said)])
    assert said in (status.failure or "")


@pytest.mark.parametrize(
    "said",
    [
        "Failed to pull image: dial tcp 10.0.0.1:443: connect: connection refused",
        "Failed to pull image: lookup registry: no such host",
        "Failed to pull image: unexpected status: 503 Service Unavailable",
    ],
)
def test_a_registry_that_cannot_be_reached_is_waited_for_until_the_time_is_up(said: str) -> None:
    arguments: dict[str, Any] = {"events": [event("Failed", said)]}
    status = status_of(container(wait("ErrImagePull")), **arguments)
    assert status.failure is None
    assert said in (status.waiting or "")
    late = status_of(container(wait("ErrImagePull")), timeout=60, **arguments)
    assert (late.failure or "").startswith("Not ready after 60 s: 0 of 1 replicas are; pod web-1: Failed to pull")


def test_a_configuration_that_cannot_start_fails_with_what_is_missing() -> None:
    status = status_of(container(wait("CreateContainerConfigError", 'configmap "prices" not found')))
    assert 'cannot be configured: configmap "prices" not found' in (status.failure or "")


def test_a_restart_by_a_probe_fails_even_when_it_is_ready_again() -> None:
    killing = event("Killing", "Container web failed liveness probe, will be restarted")
    status = status_of(container({"running": {}}, 1), events=[killing], deployment=READY)
    assert "failed liveness probe" in (status.failure or "")
    assert not status.settled


def test_what_happened_before_the_change_or_to_a_settled_stable_is_no_failure() -> None:
    old = event("Killing", "Container web failed liveness probe, will be restarted", "2001-09-09T01:40:00Z")
    assert status_of(container({"running": {}}), events=[old]).failure is None
    new = event("Killing", "Container web failed liveness probe, will be restarted")
    assert status_of(container({"running": {}}), events=[new], deployment=READY, track="stable").settled


def test_a_pod_that_only_now_stopped_being_ready_gets_its_time_again() -> None:
    flapped = [{"type": "Ready", "status": "False", "lastTransitionTime": "2001-09-09T01:48:10Z"}]  # 10 s ago
    assert status_of(container({"running": {}}), conditions=flapped, timeout=30).failure is None
    assert status_of(container({"running": {}}), timeout=30).failure


def test_what_is_waited_for_is_said() -> None:
    unhealthy = event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    assert "statuscode: 503" in (status_of(container({"running": {}}), events=[unhealthy]).waiting or "")
    unscheduled = [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]
    assert "0/1 nodes" in (status_of(conditions=unscheduled).waiting or "")
    refused = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]
    assert "exceeded quota" in (status_of(deployment={"conditions": refused}).waiting or "")


def test_an_image_named_by_a_tag_has_the_digest_that_its_pods_run() -> None:
    deployment = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "shop/web:1.0.0"}]}}}}
    pod = {"status": {"containerStatuses": [{"name": "web", "imageID": f"docker-pullable://shop/web@{DIGEST}"}]}}
    assert readiness.running(deployment, [pod], "web") == (DIGEST, "1.0.0")
    assert readiness.running(deployment, [], "web") == (None, "1.0.0")


def test_what_kubernetes_says_of_its_waiting_hides_no_reason() -> None:
    said = event("Failed", "Failed to pull image: rpc error: code = NotFound desc = shop/web@sha256:aa: not found")
    waits = event("Failed", "Error: ImagePullBackOff", at="2001-09-09T01:46:55Z")
    status = status_of(container(wait("ImagePullBackOff", "Back-off")), events=[said, waits])
    assert status.failure
    assert "not found" in status.failure
