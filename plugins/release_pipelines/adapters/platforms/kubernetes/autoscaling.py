"""Autoscalers of stable: while a release stands beside stable, none makes it smaller than it was before (R16).

An HPA is scaled by its own ``minReplicas``; one that KEDA has made, by the ``minReplicaCount`` of its ScaledObject. What stood
there is kept in an annotation of the same object, so that any restart, rollback or later release can restore it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from release_pipelines.adapters.kubernetes.annotations import PREFIX, annotation
from release_pipelines.adapters.kubernetes.client import Client, Object, Resource
from release_pipelines.adapters.platforms.kubernetes import manifests
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track

log = logging.getLogger(__name__)

KEPT = PREFIX + "kept-minimum"
"""Annotation of a raised autoscaler: its own minimum (null: it had none), and ours, as JSON."""
MANAGED = "app.kubernetes.io/managed-by"
OF_PODS = ("Resource", "ContainerResource", "Pods")
"""Kinds of metrics that are about a Deployment's own pods: another Deployment can be scaled by them, too."""
SEEN_SECONDS = 60.0
"""Longest time until an autoscaler has seen traffic that is back, in seconds: pods are measured every 15 s, and it looks as often."""
LOOK_SECONDS = 1.0
"""Pause between two looks whether it has, in seconds."""
WITH_OWN: tuple[Track, ...] = ("canary", "preview")
"""Tracks that get an autoscaler of their own; a baseline has to stay as large as what it is compared with."""


@dataclass(frozen=True)
class Scaler:
    """What scales stable: an HPA, and the ScaledObject that has made it, if any."""

    hpa: Object
    resource: Resource
    scaled_object: str | None = None

    @property
    def minimum(self) -> str:
        """The key of its spec that is the minimum."""
        return "minReplicaCount" if self.scaled_object else "minReplicas"

    @property
    def name(self) -> str:
        """Name of the object whose minimum it is."""
        return self.scaled_object or str(self.hpa["metadata"]["name"])


async def hpas(client: Client) -> Resource:
    """The resource of HPAs, in the best version that the server has."""
    served = await client.versions("autoscaling")
    version = next((it for it in ("v2", "v2beta2", "v1") if it in served), "v1")
    return Resource(f"autoscaling/{version}", "horizontalpodautoscalers", "HorizontalPodAutoscaler")


async def scaler_of(client: Client, namespace: str, deployment: str) -> Scaler | None:
    """What scales the Deployment; None: nothing does."""
    resource = await hpas(client)
    for hpa in await client.find(resource, namespace):
        scaled = hpa["spec"].get("scaleTargetRef") or {}
        if (scaled.get("kind"), scaled.get("name")) == ("Deployment", deployment):
            return _scaler(hpa, resource)
    return None


def _scaler(hpa: Object, resource: Resource) -> Scaler:
    for owner in hpa["metadata"].get("ownerReferences") or []:
        if owner.get("kind") == "ScaledObject":
            made_by = Resource(owner.get("apiVersion") or "keda.sh/v1alpha1", "scaledobjects", "ScaledObject")
            return Scaler(hpa, made_by, owner["name"])
    return Scaler(hpa, resource)


def kept_of(current: Object) -> Object | None:
    """What stood there before the minimum was raised; None: it was not, or the annotation cannot be read."""
    try:
        kept = json.loads(annotation(current, KEPT) or "null")
    except ValueError:
        return None
    return kept if isinstance(kept, dict) and {"own", "raised"} <= kept.keys() else None


def raised(scaler: Scaler, current: Object, replicas: int, fence: int) -> Object | None:
    """Merge patch that keeps stable at so many replicas; None: it stands, or the minimum is no less anyway.

    :param current: the object whose minimum it is, as it is now.
    :param fence: of the release: within one, the capacity before it is the measure.
    """
    now, kept = current["spec"].get(scaler.minimum), kept_of(current)
    own = now
    if kept is not None:
        if kept.get("fence") == fence or now != kept["raised"]:
            return None  # raised by this release already; and what a team has set meanwhile wins
        own = kept["own"]  # a release that was killed has left it so
    wanted = min(replicas, int(scaler.hpa["spec"].get("maxReplicas", replicas)))
    if (1 if now is None else now) >= wanted:
        return None
    text = json.dumps({"own": own, "raised": wanted, "fence": fence})
    version = current["metadata"]["resourceVersion"]
    return {
        "metadata": {"resourceVersion": version, "annotations": {KEPT: text}},
        "spec": {scaler.minimum: wanted},
    }


def restored(scaler: Scaler, current: Object) -> Object | None:
    """Merge patch that gives the autoscaler its own minimum back; None: it was not raised. A team's own change stays."""
    if annotation(current, KEPT) is None:
        return None
    version, kept = current["metadata"]["resourceVersion"], kept_of(current)
    patch: Object = {"metadata": {"resourceVersion": version, "annotations": {KEPT: None}}}
    if kept is None:
        log.warning("The annotation %s of %s cannot be read: its minimum stays.", KEPT, scaler.name)
    elif current["spec"].get(scaler.minimum) == kept["raised"]:
        patch["spec"] = {scaler.minimum: kept["own"]}
    return patch


async def keep_capacity(client: Client, target: Target, stable: Object, fence: int) -> Scaler | None:
    """Keep stable as large as it is, whatever its load; returns what scales it."""
    scaler = await scaler_of(client, target.namespace, stable["metadata"]["name"])
    if scaler is not None:
        replicas = int(stable["spec"].get("replicas", 1))
        await _change(client, target, scaler, lambda current: raised(scaler, current, replicas, fence))
    return scaler


async def release_capacity(client: Client, target: Target, since: float = 0.0) -> bool:
    """Give stable's autoscaler its own minimum back; returns whether it was raised.

    One that has not seen yet that the traffic is back would make stable smaller at once: it gets a while to see it.

    :param since: Unix time in seconds since which stable has had all traffic.
    """
    while scaler := await scaler_of(client, target.namespace, manifests.stable_name(target)):
        seen = time.time() >= since + SEEN_SECONDS or not _would_shrink(scaler.hpa)
        if seen or not await _is_raised(client, target, scaler):
            return await _change(client, target, scaler, lambda current: restored(scaler, current))
        await asyncio.sleep(LOOK_SECONDS)
    return False


def _would_shrink(hpa: Object) -> bool:
    """Whether nothing but its minimum keeps an HPA from scaling down, as it says."""
    conditions = hpa.get("status", {}).get("conditions") or []
    return any(it.get("type") == "ScalingLimited" and it.get("reason") == "TooFewReplicas" for it in conditions)


async def _is_raised(client: Client, target: Target, scaler: Scaler) -> bool:
    try:
        return kept_of(await _current(client, target, scaler)) is not None
    except Forbidden:
        return False


async def _current(client: Client, target: Target, scaler: Scaler) -> Object:
    """The object whose minimum it is, as it is now; empty where it is gone."""
    if scaler.scaled_object:
        return await client.get(scaler.resource, target.namespace, scaler.name) or {}
    return scaler.hpa


async def _change(client: Client, target: Target, scaler: Scaler, made: Callable[[Object], Object | None]) -> bool:
    """Patch the object whose minimum it is. An account that may not is told by preflight; a release under way goes on."""
    try:
        current = await _current(client, target, scaler)
        if not current:
            return False
        patch = made(current)
        if patch is not None:
            await client.patch(scaler.resource, target.namespace, scaler.name, patch)
        return patch is not None
    except Forbidden as error:
        log.warning("The minimum of %s %s stays as it is: %s", scaler.resource.kind, scaler.name, error)
        return False


# --- a track's own ------------------------------------------------------------------------------------------------


def own_scaler(scaler: Scaler, deployment: Object, replicas: int) -> Object | None:
    """The autoscaler of a track beside stable: stable's, for the track's pods, with its share of the capacity as minimum.

    None where stable is scaled by nothing that is about its own pods: what counts all requests would count them twice.

    :param deployment: the track's, as it stands in the cluster.
    :param replicas: the track's share of the capacity.
    """
    spec = scaler.hpa["spec"]
    metrics = [it for it in spec.get("metrics") or [] if it.get("type") in OF_PODS]
    if scaler.scaled_object or not (metrics or "targetCPUUtilizationPercentage" in spec):
        return None
    meta = deployment["metadata"]
    maximum = max(replicas, int(spec.get("maxReplicas", replicas)))
    own = {
        **spec,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"]},
        "minReplicas": replicas,
        "maxReplicas": maximum,
    }
    if metrics:
        own["metrics"] = metrics
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
    return {
        "metadata": {"name": meta["name"], "labels": dict(meta.get("labels") or {}), "ownerReferences": [owner]},
        "spec": own,
    }


def is_ours(hpa: Object | None) -> bool:
    """Whether a release has made the autoscaler."""
    return ((hpa or {}).get("metadata", {}).get("labels") or {}).get(MANAGED) == "release-pipelines"


async def scale_track(client: Client, target: Target, scaler: Scaler | None, deployment: Object, replicas: int) -> bool:
    """Let the track follow its load, from its share of the capacity on; returns whether it does.

    An autoscaler of that name that is not ours stays as it is.
    """
    body = own_scaler(scaler, deployment, replicas) if scaler else None
    if body is None:
        return False
    resource, name = await hpas(client), deployment["metadata"]["name"]
    current = await _named(client, resource, target, name)
    try:
        if current is None:
            await client.create(resource, target.namespace, body)
        elif is_ours(current) and current["spec"].get("minReplicas") != replicas:
            limits = {"minReplicas": replicas, "maxReplicas": body["spec"]["maxReplicas"]}
            await client.patch(resource, target.namespace, name, {"spec": limits})
        return current is None or is_ours(current)
    except PlatformUnavailable:
        raise
    except PlatformError as error:  # it has its share all the same
        log.warning("%s gets no autoscaler of its own: %s", name, error)
        return False


async def unscale_track(client: Client, target: Target, track: Track) -> bool:
    """Remove the track's own autoscaler; returns whether there was one."""
    resource, name = await hpas(client), manifests.deployment_name(target, track)
    found = await _named(client, resource, target, name) if track in WITH_OWN else None
    return is_ours(found) and await client.delete(resource, target.namespace, name, found=found)


async def _named(client: Client, resource: Resource, target: Target, name: str) -> Object | None:
    """The autoscaler of that name, from the list of all: an account that may not change any may at least list them."""
    found = await client.find(resource, target.namespace)
    return next((it for it in found if it["metadata"]["name"] == name), None)
