"""Deployments, Services and Secrets that a release states, as pure functions."""

from __future__ import annotations

import base64
import copy
import json
from datetime import datetime, timezone

from release_pipelines.adapters.kubernetes.annotations import PREFIX, annotation
from release_pipelines.adapters.kubernetes.client import Object
from release_pipelines.adapters.kubernetes.router import HASH, TRACK
from release_pipelines.adapters.platforms.kubernetes import pods
from release_pipelines.adapters.platforms.kubernetes.evidence import (
    REVISION,
    STATED_AT,
    current_replica_set,
    owned_by,
)
from release_pipelines.adapters.platforms.kubernetes.pods import REGISTRY_SECRET as REGISTRY_SECRET
from release_pipelines.adapters.platforms.kubernetes.readiness import SHARE, image_of, with_pods
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.target import Target, Update, batch_size
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.router import router_of

WORKLOAD = PREFIX + "workload"
MANAGED = {"app.kubernetes.io/managed-by": "release-pipelines"}
"""Label of everything that a release makes and removes again."""


def stable_name(target: Target) -> str:
    """Name of the user's own Deployment and Service."""
    return target.workload.name or target.app


def deployment_name(target: Target, track: Track) -> str:
    """Name of a track's Deployment, and of its Service where it has one."""
    return stable_name(target) if track == "stable" else f"{stable_name(target)}-{track}"


def release_track(target: Target) -> Track:
    """The track beside stable that a release of the app begins on, where it begins on one."""
    return "preview" if target.preview else "canary"


def route_name(target: Target) -> str:
    """Name of what splits the traffic."""
    return target.router.route or target.app


def preview_route(target: Target) -> str:
    """Name of the route that gives a preview an address of its own; that of the app may be several apps'."""
    return f"{stable_name(target)}-preview"


def service_name(target: Target) -> str:
    """Name of the Service that picks stable's pods."""
    return route_name(target) if router_of(target.router).pods_make_weight else stable_name(target)


def container_name(target: Target, deployment: Object | None) -> str:
    """The container whose image is changed: the one that is named, the one named like the workload, or the only one.

    :raises PlatformError: when none of these exists.
    """
    wanted = target.workload.container
    if deployment is None:
        return wanted or stable_name(target)
    names = [str(it["name"]) for it in deployment["spec"]["template"]["spec"]["containers"]]
    if wanted in names:
        return str(wanted)
    if wanted is None and stable_name(target) in names:
        return stable_name(target)
    if wanted is None and len(names) == 1:
        return names[0]
    raise PlatformError(
        f"Deployment {deployment['metadata']['name']} has the containers {', '.join(names)}: "
        f"`workload.container` is expected to name one of them, found {wanted or 'nothing'}."
    )


def stable_deployment(target: Target, artifact: Artifact, replicas: int | None, secret: bool, now: float) -> Object:
    """The Deployment of an app's first release."""
    workload, name = target.workload, stable_name(target)
    container: Object = {
        "name": container_name(target, None),
        "image": artifact.reference,
        "ports": [{"containerPort": workload.port}],
        "env": pods.with_env([], {"PORT": str(workload.port), **workload.env}),
        "readinessProbe": {"httpGet": {"path": workload.health, "port": workload.port}, "periodSeconds": 1},
        # So long a pod still answers after it was told to end: routers need a moment to hear of it.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
    }
    if resources := pods.limited({}, workload):
        container["resources"] = resources
    pod: Object = {"containers": [container]}
    if secret:
        pod["imagePullSecrets"] = [{"name": REGISTRY_SECRET}]
    return {
        "metadata": {"name": name, "labels": {"app": name}, "annotations": {STATED_AT: f"{now:.3f}"}},
        "spec": {
            "replicas": replicas or workload.replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": rolling_update(target) or {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": {"app": name, TRACK: "stable"},
                    "annotations": {**pods.marks(artifact), **pods.env_mark([], workload.env, {})},
                },
                "spec": pod,
            },
        },
    }


def stable_patch(
    deployment: Object,
    target: Target,
    artifact: Artifact,
    replicas: int | None,
    secret: bool,
    now: float,
    share: int = 100,
) -> Object | None:
    """Strategic merge patch that gives an existing stable the artifact; None if it has it already.

    :param replicas: None leaves the number as it is (R16).
    """
    spec = deployment["spec"]
    name = container_name(target, deployment)
    patch: Object = {}
    wanted = pods.released(spec["template"], name, target, artifact, secret)
    if template := pods.patch_of(spec["template"], wanted, name):
        template["metadata"]["labels"] = {TRACK: "stable"}
        patch["template"] = template
    if replicas is not None and spec.get("replicas") != replicas:
        patch["replicas"] = replicas
    if share_of(deployment) != share:
        patch["paused"] = None
    rolling = rolling_update(target)
    if target.update and share < 100:
        number = patch.get("replicas", spec.get("replicas", 1))
        replaced = 0 if template else deployment.get("status", {}).get("updatedReplicas", 0)
        # An update that is under way keeps the room that it got when it began.
        rolling = _batch_update(target.update, number, batch_size(number, share) - replaced) if patch else None
    if rolling and (spec.get("strategy") or {}).get("rollingUpdate") != rolling:
        patch["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    if not patch:
        return None
    return {"metadata": _stated(deployment, share, now), "spec": patch}


def without_template(patch: Object | None) -> Object | None:
    """The patch of a stable whose pods stay as they are; None if that leaves nothing."""
    spec = {key: value for key, value in (patch or {}).get("spec", {}).items() if key != "template"}
    return {**(patch or {}), "spec": spec} if spec else None


def restored(deployment: Object, target: Target, template: Object, share: int, now: float) -> Object:
    """The Deployment with an earlier pod template, as a whole: what was added since goes, too."""
    template = copy.deepcopy(template)
    template["metadata"]["labels"].pop(HASH, None)
    template["metadata"]["labels"][TRACK] = "stable"  # a Service may pick stable's pods by it
    body = copy.deepcopy(deployment)
    body.pop("status", None)
    annotations = body["metadata"].get("annotations") or {}
    stated = _stated(deployment, share, now)
    body["metadata"]["annotations"] = {
        key: value for key, value in {**annotations, **stated["annotations"]}.items() if value is not None
    }
    body["spec"] = {key: value for key, value in body["spec"].items() if key != "paused"} | {"template": template}
    if rolling := rolling_update(target):  # all at once, where a batch had room for a few
        body["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return body


def template_of(deployment: Object, replica_sets: list[Object], artifact: Artifact, container: str) -> Object | None:
    """The pod template that an artifact ran with last on this Deployment: never "the revision before", whatever it was.

    A template that named it by its tag comes back with its digest, which is what ran.
    """
    own = [it for it in replica_sets if owned_by(it, deployment)]
    by_digest = [it for it in own if image_of(it, container).endswith(f"@{artifact.digest}")]
    by_tag = [it for it in own if image_of(it, container) in (f"{artifact.image}:{artifact.version}", artifact.image)]
    newest = max(by_digest or by_tag, key=lambda it: int(annotation(it, REVISION) or 0), default=None)
    if newest is None:
        return None
    template: Object = copy.deepcopy(newest["spec"]["template"])
    if not by_digest:
        next(it for it in template["spec"]["containers"] if it["name"] == container)["image"] = artifact.reference
        meta = template.setdefault("metadata", {})
        meta["annotations"] = {**(meta.get("annotations") or {}), **pods.marks(artifact)}
    return template


def share_of(deployment: Object) -> int:
    """Percent of the replicas that a rolling update replaces for now."""
    return int(annotation(deployment, SHARE) or 100)


def pause_patch(deployment: Object) -> Object:
    """Stop the rolling update where it is."""
    return {"metadata": {"resourceVersion": deployment["metadata"]["resourceVersion"]}, "spec": {"paused": True}}


def rolling_update(target: Target) -> Object | None:
    """What the app's file says of rolling updates; it owns the setting from then on."""
    if target.update is None:
        return None
    return {"maxSurge": target.update.max_surge, "maxUnavailable": target.update.max_unavailable}


def _batch_update(update: Update, replicas: int, left: int) -> Object:
    """The same with room for no more pods than the batch has left: those that are made get requests before it can be stopped."""
    surge, unavailable = update.room(replicas)
    surge = min(surge, max(1, left))
    return {"maxSurge": surge, "maxUnavailable": min(unavailable, max(0 if surge else 1, left - surge))}


def _stated(deployment: Object, share: int, now: float) -> Object:
    annotations = {STATED_AT: f"{now:.3f}", SHARE: str(share) if share < 100 else None}
    return {"resourceVersion": deployment["metadata"]["resourceVersion"], "annotations": annotations}


def beside_deployment(
    track: Track,
    stable: Object,
    selectors: list[dict[str, str]],
    target: Target,
    artifact: Artifact,
    replicas: int,
    secret: bool,
    now: float,
    running: list[Object] | None = None,
) -> Object:
    """A second Deployment: stable's pod template with another image.

    :param selectors: selectors (of Services that pick stable's pods, and of the stable Deployment where an autoscaler counts by
        it) that must not pick the new pods; empty where both tracks share one Service.
    :param running: stable's pods.
    """
    template = pods.released(stable["spec"]["template"], container_name(target, stable), target, artifact, secret)
    template = pods.as_admitted(template, stable["spec"]["template"], running or [])
    own = own_labels(target, track)
    meta = template["metadata"]
    meta.pop("creationTimestamp", None)
    meta["labels"] = not_selected({**(meta.get("labels") or {}), **own}, selectors, track)
    spec: Object = {"replicas": replicas, "selector": {"matchLabels": own}, "template": template}
    for key in ("strategy", "minReadySeconds", "progressDeadlineSeconds"):
        if key in stable["spec"]:
            spec[key] = copy.deepcopy(stable["spec"][key])
    return {
        "metadata": {
            "name": deployment_name(target, track),
            "labels": {**pods.copied(stable["metadata"].get("labels")), **track_labels(target, track)},
            "annotations": {STATED_AT: f"{now:.3f}"},
        },
        "spec": spec,
    }


def own_labels(target: Target, track: Track) -> dict[str, str]:
    """Labels that a track beside stable, and nothing else, has."""
    return {TRACK: track, WORKLOAD: stable_name(target)}


def track_labels(target: Target, track: Track) -> dict[str, str]:
    """Labels of the objects that make up a track beside stable: what has them is a release's own."""
    return {**own_labels(target, track), **MANAGED}


def registry_secret(auth: dict[str, str]) -> Object:
    """What the kubelet needs to pull from a registry that asks who it is."""
    pair = base64.b64encode(f"{auth['username']}:{auth['password']}".encode()).decode()
    entry = {"username": auth["username"], "password": auth["password"], "auth": pair}
    config = json.dumps({"auths": {auth["serveraddress"]: entry}})
    return {
        "metadata": {"name": REGISTRY_SECRET, "labels": MANAGED},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }


def stable_pin(stable: Object, replica_sets: list[Object]) -> tuple[str, str] | None:
    """A label that all of stable's pods have, ready or not, and no canary has.

    None in the middle of a rolling update from pods without our label.
    """
    current, live = current_replica_set(stable, replica_sets), with_pods(stable, replica_sets)
    templates = [stable["spec"]["template"], *(it["spec"]["template"] for it in live)]
    if all((it.get("metadata", {}).get("labels") or {}).get(TRACK) == "stable" for it in templates):
        return TRACK, "stable"  # survives the next rolling update, which a hash does not
    if current is None or any(it is not current for it in live):
        return None
    return HASH, str(current["metadata"]["labels"][HASH])


def lease_time(now: float) -> str:
    """Unix time as a Lease writes it."""
    return datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a selector picks a pod with these labels."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def not_selected(labels: dict[str, str], selectors: list[dict[str, str]], suffix: str) -> dict[str, str]:
    """The labels, as few of them changed as keep each selector from picking the pod."""
    for selector in selectors:
        if selects(selector, labels):
            key = next((it for it in ("app", "app.kubernetes.io/name") if it in selector), sorted(selector)[0])
            labels = {**labels, key: f"{selector[key]}-{suffix}"[-63:].lstrip("-._")}
    return labels
