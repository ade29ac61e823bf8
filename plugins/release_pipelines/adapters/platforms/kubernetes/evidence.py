"""What is read to judge the rollout of one Deployment, and what of it is current."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from release_pipelines.adapters.kubernetes.annotations import PREFIX, annotation
from release_pipelines.adapters.kubernetes.client import Object
from release_pipelines.adapters.kubernetes.router import HASH
from release_pipelines.core.text import one_line

STATED_AT = PREFIX + "stated-at"
REVISION = "deployment.kubernetes.io/revision"

ENDED = ("Failed", "Succeeded")
"""Phases of a pod that has ended for good: another one takes its place, and it stays to be read."""


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

    @property
    def wanted(self) -> int:
        """Replicas that are wanted."""
        return int(self.deployment["spec"].get("replicas", 1))


def seen_by_controller(deployment: Object) -> bool:
    """Whether the cluster has looked at the Deployment as it is stated now."""
    seen = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"].get("generation", 0))


def current_replica_set(deployment: Object, replica_sets: list[Object]) -> Object | None:
    """The ReplicaSet of the wanted template; None until the controller has made it."""
    own = [it for it in replica_sets if owned_by(it, deployment)]
    if not seen_by_controller(deployment):  # of an annotation or a scale, perhaps: these make no other ReplicaSet
        return next((it for it in own if _has_template(it, deployment)), None)
    revision = annotation(deployment, REVISION)
    return next((it for it in own if annotation(it, REVISION) == revision), None)


def _has_template(replica_set: Object, deployment: Object) -> bool:
    """Whether a ReplicaSet makes the pods that the Deployment wants."""

    def parts(template: Object) -> list[Object]:
        meta = template.get("metadata") or {}
        labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH}
        return [labels, meta.get("annotations") or {}, template["spec"]]

    template = replica_set.get("spec", {}).get("template")
    return template is not None and parts(template) == parts(deployment["spec"]["template"])


def current_pods(evidence: RolloutEvidence) -> list[Object]:
    """Pods of the template that is wanted now, without those that have ended or are on their way out."""
    return [pod for pod in pods_of_template(evidence) if not gone(pod)]


def pods_of_template(evidence: RolloutEvidence) -> list[Object]:
    """All pods of the template that is wanted now, whatever has become of them."""
    current = current_replica_set(evidence.deployment, evidence.replica_sets)
    return [pod for pod in evidence.pods if owned_by(pod, current)] if current else []


def gone(pod: Object) -> bool:
    """Whether a pod has ended or is on its way out: its ReplicaSet makes another one."""
    return bool(pod["metadata"].get("deletionTimestamp")) or pod.get("status", {}).get("phase") in ENDED


def owned_by(obj: Object, owner: Object) -> bool:
    """Whether ``owner`` controls ``obj``."""
    uid = owner["metadata"].get("uid")
    return any(it.get("uid") == uid for it in obj["metadata"].get("ownerReferences") or [])


def unready_since(pod: Object) -> float | None:
    """Unix time since when a pod is not ready; None: it is."""
    ready = condition(pod, "Ready")
    if ready is None:
        return unix(pod["metadata"].get("creationTimestamp"))
    return None if ready.get("status") == "True" else unix(ready.get("lastTransitionTime"))


def condition(obj: Object, kind: str) -> Object | None:
    """A condition of an object's status, if it has one of this type."""
    conditions = obj.get("status", {}).get("conditions") or []
    return next((it for it in conditions if it.get("type") == kind), None)


def containers(pod: Object) -> Iterator[Object]:
    """The statuses of a pod's containers, those that run before the others first."""
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def last_event(
    evidence: RolloutEvidence, objects: Iterable[Object], reasons: tuple[str, ...] = (), word: str = "", kind: str = ""
) -> Object | None:
    """The newest event of one of the objects that came after the change was stated.

    :param reasons: reasons that it may have; empty: any.
    :param word: what its message must hold, in lower case.
    :param kind: ``Warning`` or ``Normal``; empty: any.
    """
    since = float(annotation(evidence.deployment, STATED_AT) or 0)
    uids = {it["metadata"].get("uid") for it in objects}
    fitting = [
        event
        for event in evidence.events
        if event.get("involvedObject", {}).get("uid") in uids
        and (not reasons or event.get("reason") in reasons)
        and (not kind or event.get("type") == kind)
        and word in str(event.get("message") or "").lower()
        and event_time(event) >= since - 1  # events are written in whole seconds
    ]
    return max(fitting, key=event_time, default=None)


def said(event: Object | None) -> str:
    """What an event says, in one line; empty where there is none."""
    return one_line(event.get("message") or event.get("reason") or "", 600) if event else ""


def event_time(event: Object) -> float:
    """When an event happened last, as Unix time."""
    series = event.get("series") or {}
    times = [series.get("lastObservedTime"), *(event.get(key) for key in ("lastTimestamp", "eventTime"))]
    newest = max((unix(it) for it in times), default=0.0)
    return newest or unix(event.get("firstTimestamp") or event.get("metadata", {}).get("creationTimestamp"))


def unix(time: Any) -> float:
    """A Kubernetes time as Unix time; 0 where there is none."""
    return datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp() if time else 0.0


def name_of(obj: Object) -> str:
    """The object's name."""
    return str(obj["metadata"]["name"])


def digest_in(image: str) -> str | None:
    """The digest that an image is named by, if it is."""
    match = re.search(r"@(sha256:[0-9a-f]{64})$", image)
    return match.group(1) if match else None


def repository_in(image: str) -> str:
    """An image without its tag and digest."""
    name = image.partition("@")[0]
    head, _, tag = name.rpartition(":")
    return head if head and "/" not in tag else name
