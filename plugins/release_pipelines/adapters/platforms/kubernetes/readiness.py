"""Ready means ready (R7): Deployment, ReplicaSets, pods and events → how a track stands."""

from __future__ import annotations

from collections.abc import Iterator

from release_pipelines.adapters.kubernetes.annotations import PREFIX, annotation, image_changed_by, scaled_by
from release_pipelines.adapters.kubernetes.client import Object
from release_pipelines.adapters.platforms.kubernetes.evidence import (
    REVISION,
    STATED_AT,
    RolloutEvidence,
    condition,
    containers,
    current_pods,
    digest_in,
    name_of,
    owned_by,
    repository_in,
    seen_by_controller,
    unix,
    unready_since,
)
from release_pipelines.adapters.platforms.kubernetes.reasons import Trouble, pod_trouble, waiting
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.target import batch_size
from release_pipelines.core.model.track import Track
from release_pipelines.core.text import last_lines

__all__ = ["DIGEST", "REVISION", "SHARE", "STATED_AT", "VERSION", "RolloutEvidence", "Trouble", "status", "trouble"]

DIGEST, VERSION = PREFIX + "digest", PREFIX + "version"
SHARE = PREFIX + "share"
"""Percent of stable's replicas that are replaced for now."""


def settled(deployment: Object) -> bool:
    """All wanted replicas run the wanted template, are ready and available, and no other replica is left."""
    wanted = deployment["spec"].get("replicas", 1)
    status = deployment.get("status", {})
    return seen_by_controller(deployment) and all(
        status.get(key, 0) == wanted for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    )


def with_pods(deployment: Object, replica_sets: list[Object]) -> list[Object]:
    """The Deployment's ReplicaSets that have pods: more than one, or another one than the current, in a rolling update only.

    An unready pod is no rolling update.
    """

    def pods(replica_set: Object) -> int:
        return max(int(replica_set.get(part, {}).get("replicas") or 0) for part in ("spec", "status"))

    return [it for it in replica_sets if owned_by(it, deployment) and pods(it)]


def upto(deployment: Object) -> int:
    """Replicas that are replaced for now; at least one."""
    return batch_size(int(deployment["spec"].get("replicas", 1)), int(annotation(deployment, SHARE) or 100))


def updated(evidence: RolloutEvidence) -> int:
    """Ready pods of the template that is wanted now."""
    return sum(unready_since(pod) is None for pod in current_pods(evidence))


def done(evidence: RolloutEvidence) -> bool:
    """Settled; or, where the update stops at a share, stopped with so many pods ready."""
    if annotation(evidence.deployment, SHARE) is None:
        return settled(evidence.deployment)
    return bool(evidence.deployment["spec"].get("paused")) and updated(evidence) >= upto(evidence.deployment)


def trouble(evidence: RolloutEvidence, track: Track) -> Trouble | None:
    """What makes the rollout fail, if anything does.

    A stable that is settled is not judged by what happened to it before.
    """
    if done(evidence) and track == "stable":
        return None
    pods = current_pods(evidence)
    for pod in pods:
        problem = pod_trouble(evidence, pod)
        if problem:
            return problem
    return None if done(evidence) else _overdue(evidence, pods)


def status(evidence: RolloutEvidence, track: Track, problem: Trouble | None, log: str = "") -> TrackStatus:
    """The track in one value; ``log`` is the end of the log that belongs to ``problem``."""
    deployment = evidence.deployment
    digest, version = running(deployment, current_pods(evidence), evidence.container)
    there = done(evidence) and problem is None
    return TrackStatus(
        track=track,
        digest=digest,
        version=version,
        image=repository_in(image_of(deployment, evidence.container)) or None,
        wanted=evidence.wanted,
        ready=deployment.get("status", {}).get("readyReplicas", 0),
        updated=updated(evidence),
        settled=there,
        failure=_with_log(problem.sentence, log) if problem else None,
        waiting=None if done(evidence) or problem else waiting(evidence),
        changed_by=image_changed_by(deployment, evidence.container),
        scaled_by=scaled_by(deployment),
    )


def running(deployment: Object, pods: list[Object], container: str) -> tuple[str | None, str | None]:
    """Digest and version that are wanted.

    An image that is named by a tag has the digest that its pods run. Where the tag was pushed again, and pods run several
    digests, it is the newest pod's: what the tag meant last.
    """
    image = image_of(deployment, container)
    digest = digest_in(image)
    if digest is None:
        found = [
            (unix(pod["metadata"].get("creationTimestamp")) if "metadata" in pod else 0.0, named)
            for pod in pods
            for it in containers(pod)
            if it.get("name") == container and (named := digest_in(str(it.get("imageID", ""))))
        ]
        digest = max(found)[1] if found else None
    template = deployment["spec"]["template"]
    if digest and annotation(template, DIGEST) == digest:
        return digest, annotation(template, VERSION)
    name, _, tag = image.partition("@")[0].rpartition(":")
    return digest, tag if name and "/" not in tag else None


def image_of(deployment: Object, container: str) -> str:
    """The image that the template names for the container."""
    for it in deployment["spec"]["template"]["spec"]["containers"]:
        if it["name"] == container:
            return str(it.get("image", ""))
    return ""


# --- progress -----------------------------------------------------------------------------------------------------


def _overdue(evidence: RolloutEvidence, pods: list[Object]) -> Trouble | None:
    """No progress for longer than ``ready_timeout``, and what the Deployment itself asks for: the whole, or one pod.

    All clocks are the cluster's own records, so whoever looks next sees the same (R6).
    """
    stated = float(annotation(evidence.deployment, STATED_AT) or 0)
    available_after = float(evidence.deployment["spec"].get("minReadySeconds") or 0)
    started_after = _startup_budget(evidence.deployment)
    stuck = [(max(stated, *_steps(pod)), pod) for pod in pods if unready_since(pod) is not None]
    since, pod = min(stuck, key=lambda it: it[0], default=(0.0, None))
    limit = evidence.ready_timeout + started_after
    if pod is None:
        since, limit = _progress(evidence), evidence.ready_timeout + available_after
    if not since or evidence.now - since <= limit:
        return None
    ready = evidence.deployment.get("status", {}).get("readyReplicas", 0)
    return Trouble(
        f"Not ready after {limit:.0f} s: {ready} of {evidence.wanted} replicas are; {waiting(evidence)}.",
        name_of(pod) if pod else None,
        evidence.container if pod else None,
    )


def _steps(pod: Object) -> Iterator[float]:
    """When a pod made each of its steps: it was made, it found a node, a container started, it stopped being ready, …"""
    yield unix(pod["metadata"].get("creationTimestamp"))
    for it in pod.get("status", {}).get("conditions") or []:
        yield unix(it.get("lastTransitionTime"))
    for it in containers(pod):
        yield unix(((it.get("state") or {}).get("running") or {}).get("startedAt"))


def _progress(evidence: RolloutEvidence) -> float:
    """Unix time of the last progress of the Deployment: a replica was made, became ready or available, or ended.

    0 where nothing says it.
    """
    deployment = evidence.deployment
    times = [float(annotation(deployment, STATED_AT) or 0)]
    times += [time for pod in evidence.pods for time in _steps(pod)]
    times += [unix(it["metadata"].get("creationTimestamp")) for it in evidence.replica_sets]
    progressing = condition(deployment, "Progressing") or {}
    if progressing.get("status") != "False":  # else that is when Kubernetes gave up
        times.append(unix(progressing.get("lastUpdateTime")))
        # Each number of its status, and its scale: also of what is no rollout, like a drained node or an autoscaler's change.
        fields = deployment["metadata"].get("managedFields") or []
        times += [unix(it.get("time")) for it in fields if it.get("subresource") in ("status", "scale")]
    return max(times)


def _startup_budget(deployment: Object) -> float:
    """Seconds that a container's startup probe gives it by itself."""
    probes = [it.get("startupProbe") for it in deployment["spec"]["template"]["spec"]["containers"]]
    return max(
        (
            float(it.get("initialDelaySeconds", 0) + it.get("periodSeconds", 10) * it.get("failureThreshold", 3))
            for it in probes
            if it
        ),
        default=0.0,
    )


def _with_log(sentence: str, log: str) -> str:
    lines = [line.strip() for line in last_lines(log, 6, 900)]
    return f"{sentence} Last log lines: {' | '.join(lines)}" if lines else sentence
