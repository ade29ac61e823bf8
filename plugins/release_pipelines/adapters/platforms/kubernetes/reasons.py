"""Why a rollout fails, or what it waits for, in Kubernetes' own words (R7)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from release_pipelines.adapters.kubernetes.client import Object
from release_pipelines.adapters.platforms.kubernetes.evidence import (
    RolloutEvidence,
    condition,
    containers,
    current_pods,
    current_replica_set,
    gone,
    last_event,
    name_of,
    pods_of_template,
    said,
    seen_by_controller,
    unready_since,
)
from release_pipelines.core.text import one_line

PULL = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}
CANNOT_START = {
    "CreateContainerConfigError": "cannot be configured",
    "CreateContainerError": "cannot be created",
    "RunContainerError": "cannot be started",
    "InvalidImageName": "has an image name that is not valid",
    "ErrImageNeverPull": "has an image that is not on the node and may not be pulled",
}
STARTING = ("", "ContainerCreating", "PodInitializing")
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


def pod_trouble(evidence: RolloutEvidence, pod: Object) -> Trouble | None:
    """What keeps a pod from ever becoming ready, if anything does."""
    return _probe_trouble(evidence, pod) or _container_trouble(evidence, pod)


def _container_trouble(evidence: RolloutEvidence, pod: Object) -> Trouble | None:
    for it in containers(pod):
        state = it.get("state") or {}
        reason = (state.get("waiting") or {}).get("reason", "")
        message = (state.get("waiting") or {}).get("message", "")
        where = f"Container {it['name']} of pod {name_of(pod)}"
        if reason in PULL:
            message = _pull(evidence, pod) or message
            if REFUSED.search(message) and not UNREACHABLE.search(message):
                return Trouble(f"{where}: its image cannot be pulled: {message}")
        elif reason in CANNOT_START:
            return Trouble(f"{where} {CANNOT_START[reason]}: {message or reason}", name_of(pod), it["name"])
        ended = state.get("terminated") or (it.get("lastState") or {}).get("terminated") or {}
        if not it.get("ready") and (reason == "CrashLoopBackOff" or (ended and it.get("restartCount", 0) >= 2)):
            times = it.get("restartCount", 0)
            event = said(last_event(evidence, [pod], ("BackOff",), "restart"))
            explanation = f" Kubernetes says: {event}." if event else ""
            return Trouble(
                f"{where} keeps ending: {_ending(ended)}, restarted {times} time{'s' * (times != 1)}.{explanation}",
                name_of(pod),
                it["name"],
            )
    return None


def _probe_trouble(evidence: RolloutEvidence, pod: Object) -> Trouble | None:
    killed = said(last_event(evidence, [pod], ("Killing",), "probe"))
    if not killed:
        return None
    why = said(last_event(evidence, [pod], ("Unhealthy",), "probe failed"))
    match = re.search(r"[Cc]ontainer (\S+)", killed)
    container = match.group(1) if match else evidence.container
    return Trouble(f"Pod {name_of(pod)}: {killed}" + (f" ({why})" if why else "") + ".", name_of(pod), container)


def _ending(ended: Object) -> str:
    reason, code = ended.get("reason", "Error"), ended.get("exitCode")
    if reason == "OOMKilled":
        return "OOMKilled, it used more memory than its limit"
    return f"exit code {code}" + (f" ({reason})" if reason not in ("Error", "Completed") else "")


def waiting(evidence: RolloutEvidence) -> str:
    """What a rollout that is not done waits for."""
    deployment, status = evidence.deployment, evidence.deployment.get("status", {})
    if not seen_by_controller(deployment):
        return "the cluster has not looked at the change yet"
    refused = not_created(evidence)
    if refused:
        return f"pods cannot be created: {refused}"
    pods = current_pods(evidence)
    unready = sorted((it for it in pods if unready_since(it) is not None), key=lambda it: unready_since(it) or 0)
    ended = ended_before(evidence)
    for pod in unready:
        return f"pod {name_of(pod)}: {unready_reason(evidence, pod)}{f'; {ended}' if ended else ''}"
    if status.get("updatedReplicas", 0) < evidence.wanted or len(pods) < evidence.wanted:
        told = ended or said(_last_warning(evidence, _makers(evidence)))
        return f"{len(pods)} of {evidence.wanted} pods were created{f'; {told}' if told else ''}"
    if status.get("replicas", 0) > evidence.wanted:
        return "the last old pod has not ended"
    return "the last pod is not available yet"


def not_created(evidence: RolloutEvidence) -> str:
    """Why pods are refused: by a quota, an admission webhook, Pod Security and the like; empty where they are not."""
    for it in _makers(evidence):
        failing = condition(it, "ReplicaFailure")
        if failing and failing.get("status") == "True":
            return one_line(failing.get("message") or failing.get("reason") or "", 600)
    progress = condition(evidence.deployment, "Progressing") or {}
    if progress.get("status") == "False" and progress.get("reason") != "ProgressDeadlineExceeded":
        return one_line(progress.get("message") or progress.get("reason") or "", 600)
    return ""


def unready_reason(evidence: RolloutEvidence, pod: Object) -> str:
    """Why a pod is not ready."""
    scheduled = condition(pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        event = said(last_event(evidence, [pod], ("FailedScheduling",)))
        return f"no node takes it: {one_line(scheduled.get('message') or '', 600) or event or scheduled.get('reason')}"
    for it in containers(pod):
        state = it.get("state") or {}
        blocked = state.get("waiting") or {}
        if blocked.get("reason") in PULL:
            return _pull(evidence, pod) or one_line(blocked.get("message") or blocked["reason"], 600)
        if blocked.get("reason", "") not in STARTING:
            return f"{blocked['reason']} {one_line(blocked.get('message') or '', 600)}".strip()
        if "running" in state and not it.get("ready"):
            unhealthy = said(last_event(evidence, [pod], ("Unhealthy",)))
            return unhealthy or f"container {it['name']} is not ready yet"
    told = said(_last_warning(evidence, [pod]))  # volumes, networks, nodes: all that stands in the way of a start
    if told:
        return told
    ready = condition(pod, "Ready") or {}
    if all(it.get("ready") for it in containers(pod)) and ready.get("message"):  # of a readiness gate
        return one_line(ready["message"], 600)
    return "its containers are being started"


def ended_before(evidence: RolloutEvidence) -> str:
    """What became of a pod of this template that was evicted, preempted or ended by its node; empty where none was."""
    for pod in pods_of_template(evidence):
        if not gone(pod):
            continue
        status, disrupted = pod.get("status", {}), condition(pod, "DisruptionTarget") or {}
        event = last_event(evidence, [pod], ("Evicted", "Preempted", "TaintManagerEviction"))
        why = status.get("reason") or (disrupted.get("reason") if disrupted.get("status") == "True" else "")
        why = why or (event or {}).get("reason")
        if why:
            told = status.get("message") or disrupted.get("message") or said(event)
            return f"pod {name_of(pod)} was ended: {one_line(f'{why}: {told}' if told else why, 600)}"
    return ""


def _makers(evidence: RolloutEvidence) -> list[Object]:
    """Who makes the pods: the ReplicaSet, for the Deployment."""
    current = current_replica_set(evidence.deployment, evidence.replica_sets)
    return [evidence.deployment, *([current] if current else [])]


def _last_warning(evidence: RolloutEvidence, objects: list[Object]) -> Object | None:
    return last_event(evidence, objects, kind="Warning")


def _pull(evidence: RolloutEvidence, pod: Object) -> str:
    return said(last_event(evidence, [pod], ("Failed",), "failed to pull image"))
