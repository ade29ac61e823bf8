"""Ready means ready (R7): Deployment, ReplicaSets, pods and events → how a track stands, and why."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from release_pipelines.adapters.kubernetes.annotations import PREFIX, annotation
from release_pipelines.adapters.kubernetes.client import Object
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.track import Track
from release_pipelines.core.text import last_lines, one_line

DIGEST, VERSION, STATED_AT = PREFIX + "digest", PREFIX + "version", PREFIX + "stated-at"
SHARE = PREFIX + "share"
"""Percent of stable's replicas that are replaced for now."""
REVISION = "deployment.kubernetes.io/revision"

PULL = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}
CANNOT_START = {
    "CreateContainerConfigError": "cannot be configured",
    "CreateContainerError": "cannot be created",
    "RunContainerError": "cannot be started",
    "InvalidImageName": "has an image name that is not valid",
    "ErrImageNeverPull": "has an image that is not on the node and may not be pulled",
}
UNREACHABLE = re.compile(
    r"connection refused|no such host|timeout|timed out|deadline exceeded|\bEOF\b|reset by peer|unreachable|"
    r"server misbehaving|5\d\d (internal|bad|service|gateway)|unexpected status code.*5\d\d|too many requests",
    re.IGNORECASE,
)
REFUSED = re.compile(
    r"not ?found|manifest unknown|denied|unauthorized|authorization failed|forbidden|401|403|no match for platform|"
    r"does not exist",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Trouble:
    """Why a rollout cannot succeed, and whose log says more."""

    sentence: str
    pod: str | None = None
    container: str | None = None


@dataclass(frozen=True)
class RolloutEvidence:
    """All that is read to judge the rollout of one Deployment."""

    deployment: Object
    replica_sets: list[Object]
    pods: list[Object]
    events: list[Object]
    now: float
    ready_timeout: float
    container: str


def current_pods(evidence: RolloutEvidence) -> list[Object]:
    """Pods of the template that is wanted now, without those that are on their way out."""
    current = current_replica_set(evidence.deployment, evidence.replica_sets)
    if current is None:
        return []
    uid = current["metadata"]["uid"]
    return [
        pod
        for pod in evidence.pods
        if not pod["metadata"].get("deletionTimestamp")
        and any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or [])
    ]


def current_replica_set(deployment: Object, replica_sets: list[Object]) -> Object | None:
    """The ReplicaSet of the wanted template; None until the controller has made it."""
    if deployment.get("status", {}).get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return None
    revision = annotation(deployment, REVISION)
    uid = deployment["metadata"].get("uid")
    for replica_set in replica_sets:
        owned = any(owner.get("uid") == uid for owner in replica_set["metadata"].get("ownerReferences") or [])
        if owned and annotation(replica_set, REVISION) == revision:
            return replica_set
    return None


def settled(deployment: Object) -> bool:
    """All wanted replicas run the wanted template, are ready and available, and no other replica is left."""
    wanted = deployment["spec"].get("replicas", 1)
    status = deployment.get("status", {})
    return status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0) and all(
        status.get(key, 0) == wanted for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    )


def upto(deployment: Object) -> int:
    """Replicas that are replaced for now; at least one."""
    wanted = int(deployment["spec"].get("replicas", 1))
    return max(1, math.ceil(wanted * int(annotation(deployment, SHARE) or 100) / 100))


def updated(evidence: RolloutEvidence) -> int:
    """Ready pods of the template that is wanted now."""
    return sum(_unready_since(pod) is None for pod in current_pods(evidence))


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
        problem = _probe_trouble(evidence, pod) or _container_trouble(evidence, pod)
        if problem:
            return problem
    return None if done(evidence) else _overdue(evidence, pods)


def waiting(evidence: RolloutEvidence) -> str | None:
    """What a rollout that is not settled waits for."""
    if done(evidence):
        return None
    status = evidence.deployment.get("status", {})
    if status.get("observedGeneration", 0) < evidence.deployment["metadata"].get("generation", 0):
        return "the cluster has not looked at the change yet"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"pods cannot be created: {condition.get('message')}"
    pods = current_pods(evidence)
    for pod in pods:
        reason = _unready_reason(evidence, pod)
        if reason:
            return f"pod {_name(pod)}: {reason}"
    wanted = evidence.deployment["spec"].get("replicas", 1)
    if status.get("updatedReplicas", 0) < wanted or len(pods) < wanted:
        return f"{len(pods)} of {wanted} pods were created"
    return (
        "the last old pod has not ended" if status.get("replicas", 0) > wanted else "the last pod is not available yet"
    )


def status(evidence: RolloutEvidence, track: Track, problem: Trouble | None, log: str = "") -> TrackStatus:
    """The track in one value; ``log`` is the end of the log that belongs to ``problem``."""
    deployment = evidence.deployment
    digest, version = running(deployment, current_pods(evidence), evidence.container)
    there = done(evidence) and problem is None
    return TrackStatus(
        track=track,
        digest=digest,
        version=version,
        wanted=deployment["spec"].get("replicas", 1),
        ready=deployment.get("status", {}).get("readyReplicas", 0),
        updated=updated(evidence),
        settled=there,
        failure=_with_log(problem.sentence, log) if problem else None,
        waiting=None if there or problem else waiting(evidence),
    )


def running(deployment: Object, pods: list[Object], container: str) -> tuple[str | None, str | None]:
    """Digest and version that are wanted; for an image that is named by a tag the digest that its pods run."""
    image = image_of(deployment, container)
    digest = _digest(image)
    if digest is None:
        ids = {
            _digest(str(it.get("imageID", "")))
            for pod in pods
            for it in pod.get("status", {}).get("containerStatuses") or []
            if it.get("name") == container
        } - {None}
        digest = ids.pop() if len(ids) == 1 else None
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


def _digest(image: str) -> str | None:
    match = re.search(r"@(sha256:[0-9a-f]{64})$", image)
    return match.group(1) if match else None


def _container_trouble(evidence: RolloutEvidence, pod: Object) -> Trouble | None:
    statuses = pod.get("status", {})
    for it in [*(statuses.get("initContainerStatuses") or []), *(statuses.get("containerStatuses") or [])]:
        state = it.get("state") or {}
        reason = (state.get("waiting") or {}).get("reason", "")
        message = (state.get("waiting") or {}).get("message", "")
        where = f"Container {it['name']} of pod {_name(pod)}"
        if reason in PULL:
            message = _last_event(evidence, pod, ("Failed",), "failed to pull image") or message
            if REFUSED.search(message) and not UNREACHABLE.search(message):
                return Trouble(f"{where}: its image cannot be pulled: {message}")
        elif reason in CANNOT_START:
            return Trouble(f"{where} {CANNOT_START[reason]}: {message or reason}", _name(pod), it["name"])
        ended = state.get("terminated") or (it.get("lastState") or {}).get("terminated") or {}
        if not it.get("ready") and (reason == "CrashLoopBackOff" or (ended and it.get("restartCount", 0) >= 2)):
            times = it.get("restartCount", 0)
            event = _last_event(evidence, pod, ("BackOff",), "restart")
            explanation = f" Kubernetes says: {event}." if event else ""
            return Trouble(
                f"{where} keeps ending: {_ending(ended)}, restarted {times} time{'s' * (times != 1)}.{explanation}",
                _name(pod),
                it["name"],
            )
    return None


def _probe_trouble(evidence: RolloutEvidence, pod: Object) -> Trouble | None:
    killed = _last_event(evidence, pod, ("Killing",), "probe")
    if not killed:
        return None
    why = _last_event(evidence, pod, ("Unhealthy",), "probe failed")
    match = re.search(r"[Cc]ontainer (\S+)", killed)
    container = match.group(1) if match else evidence.container
    return Trouble(f"Pod {_name(pod)}: {killed}" + (f" ({why})" if why else "") + ".", _name(pod), container)


def _overdue(evidence: RolloutEvidence, pods: list[Object]) -> Trouble | None:
    """Not ready for longer than the time that it was given, counted from the change, or from when it stopped being ready."""
    stated = annotation(evidence.deployment, STATED_AT)
    unready = [(since, pod) for pod in pods if (since := _unready_since(pod)) is not None]
    oldest = min(unready, key=lambda it: it[0], default=None)
    if stated is None and oldest is None:
        return None
    unready_from = max(float(stated or 0), oldest[0] if oldest else 0)
    limit = max([evidence.ready_timeout, *(_startup_budget(evidence.deployment) if oldest else [])])
    if evidence.now - unready_from <= limit:
        return None
    ready = evidence.deployment.get("status", {}).get("readyReplicas", 0)
    return Trouble(
        f"Not ready after {limit:.0f} s: {ready} of {evidence.deployment['spec'].get('replicas', 1)} replicas are; {waiting(evidence)}.",
        _name(oldest[1]) if oldest else None,
        evidence.container if oldest else None,
    )


def _startup_budget(deployment: Object) -> list[float]:
    probes = [it.get("startupProbe") for it in deployment["spec"]["template"]["spec"]["containers"]]
    return [
        float(it.get("initialDelaySeconds", 0) + it.get("periodSeconds", 10) * it.get("failureThreshold", 3))
        for it in probes
        if it
    ]


def _unready_since(pod: Object) -> float | None:
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition.get("type") == "Ready":
            return None if condition.get("status") == "True" else unix(condition.get("lastTransitionTime"))
    return unix(pod["metadata"].get("creationTimestamp"))


def _unready_reason(evidence: RolloutEvidence, pod: Object) -> str | None:
    if _unready_since(pod) is None:
        return None
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node takes it: {condition.get('message')}"
    for it in pod.get("status", {}).get("containerStatuses") or []:
        state = (it.get("state") or {}).get("waiting") or {}
        if state.get("reason") in PULL:
            return _last_event(evidence, pod, ("Failed",), "failed to pull image") or str(state.get("message"))
        if state.get("reason") and state["reason"] not in ("ContainerCreating", "PodInitializing"):
            return f"{state['reason']} {state.get('message', '')}".strip()
        if "running" in (it.get("state") or {}) and not it.get("ready"):
            return _last_event(evidence, pod, ("Unhealthy",), "eadiness") or f"container {it['name']} is not ready yet"
    return "its containers are being started"


def _last_event(evidence: RolloutEvidence, pod: Object, reasons: tuple[str, ...], word: str) -> str:
    """The newest event of the pod with such a reason that came after the change was stated."""
    since = float(annotation(evidence.deployment, STATED_AT) or 0)
    fitting = [
        event
        for event in evidence.events
        if event.get("involvedObject", {}).get("uid") == pod["metadata"]["uid"]
        and event.get("reason") in reasons
        and word in event.get("message", "").lower()
        and event_time(event) >= since - 1  # events are written in whole seconds
    ]
    newest = max(fitting, key=event_time, default=None)
    return one_line(newest["message"], 600) if newest else ""


def event_time(event: Object) -> float:
    """When an event happened last, as Unix time."""
    for key in ("lastTimestamp", "eventTime", "firstTimestamp"):
        if event.get(key):
            return unix(event[key])
    return unix(event.get("metadata", {}).get("creationTimestamp"))


def unix(time: Any) -> float:
    """A Kubernetes time as Unix time; 0 where there is none."""
    return datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp() if time else 0.0


def _ending(ended: Object) -> str:
    reason, code = ended.get("reason", "Error"), ended.get("exitCode")
    if reason == "OOMKilled":
        return "OOMKilled, it used more memory than its limit"
    return f"exit code {code}" + (f" ({reason})" if reason not in ("Error", "Completed") else "")


def _with_log(sentence: str, log: str) -> str:
    lines = [line.strip() for line in last_lines(log, 6, 900)]
    return f"{sentence} Last log lines: {' | '.join(lines)}" if lines else sentence


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])
