"""What stands already and a release does not carry along, a sentence each: nothing that a release is refused for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from release_pipelines.adapters.kubernetes.annotations import annotation
from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, SERVICES, Client, Object, Resource
from release_pipelines.adapters.kubernetes.router import TRACK
from release_pipelines.adapters.platforms.kubernetes import manifests, pods, services
from release_pipelines.adapters.platforms.kubernetes.readiness import SHARE
from release_pipelines.adapters.platforms.kubernetes.routing import router_of
from release_pipelines.adapters.platforms.kubernetes.state import read_state
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target

Labels = dict[str, str]


@dataclass(frozen=True)
class Standing:
    """A kind of object that reaches pods by their labels, or an app by its name."""

    group: str
    plural: str
    kind: str
    selectors: Callable[[Object], list[Any]] | None = None
    """Label selectors of an object's ``spec``."""
    name: Callable[[Object], list[Any]] | None = None
    """Names of Services or Deployments that an object's ``spec`` is for."""


def _one(spec: Object) -> list[Any]:
    return [spec.get("selector")]


def _network(spec: Object) -> list[Any]:
    rules = [*(spec.get("ingress") or []), *(spec.get("egress") or [])]
    peers = [peer for rule in rules for peer in [*(rule.get("from") or []), *(rule.get("to") or [])]]
    return [spec.get("podSelector"), *(it["podSelector"] for it in peers if it.get("podSelector"))]


def _cilium(spec: Object) -> list[Any]:
    rules = [*(spec.get("ingress") or []), *(spec.get("egress") or [])]
    peers = [it for rule in rules for it in [*(rule.get("fromEndpoints") or []), *(rule.get("toEndpoints") or [])]]
    return [spec.get("endpointSelector"), *peers]


def _host(spec: Object) -> list[Any]:
    return [spec.get("host")]


def _targets(spec: Object) -> list[Any]:
    found = spec.get("targetRefs") or [spec.get("targetRef") or {}]
    return [it.get("name") for it in found if it.get("kind") in ("Service", "Deployment")]


BY_LABELS = (
    Standing("networking.k8s.io", "networkpolicies", "NetworkPolicy", _network),
    Standing("policy", "poddisruptionbudgets", "PodDisruptionBudget", _one),
    Standing("monitoring.coreos.com", "podmonitors", "PodMonitor", _one),
    Standing("security.istio.io", "authorizationpolicies", "AuthorizationPolicy", _one),
    Standing("security.istio.io", "peerauthentications", "PeerAuthentication", _one),
    Standing("security.istio.io", "requestauthentications", "RequestAuthentication", _one),
    Standing("networking.istio.io", "sidecars", "Sidecar", lambda spec: [spec.get("workloadSelector", {}).get("labels")]),
    Standing("cilium.io", "ciliumnetworkpolicies", "CiliumNetworkPolicy", _cilium),
    Standing("policy.linkerd.io", "servers", "Server", lambda spec: [spec.get("podSelector")]),
)  # fmt: skip
BY_NAME = (
    Standing("networking.istio.io", "destinationrules", "DestinationRule", name=_host),
    Standing("gateway.networking.k8s.io", "backendtlspolicies", "BackendTLSPolicy", name=_targets),
    Standing("gateway.networking.x-k8s.io", "xbackendtrafficpolicies", "XBackendTrafficPolicy", name=_targets),
    Standing("autoscaling.k8s.io", "verticalpodautoscalers", "VerticalPodAutoscaler", name=_targets),
    Standing("security.istio.io", "authorizationpolicies", "AuthorizationPolicy", name=_targets),
    Standing("elbv2.k8s.aws", "targetgroupbindings", "TargetGroupBinding",
             name=lambda spec: [(spec.get("serviceRef") or {}).get("name")]),
)  # fmt: skip


async def refuse(client: Client, target: Target, stable: Object | None) -> None:
    """Raise when a release would come to no end with what stands.

    :raises PlatformError: for a Deployment that is paused, and a Service of which nothing tells where the app answers.
    """
    if stable is None:
        return
    name = stable["metadata"]["name"]
    if stable["spec"].get("paused") and annotation(stable, SHARE) is None:
        raise PlatformError(
            f"Deployment {name} in {target.namespace} is paused, so no version could be rolled out: resume it first "
            f"(`kubectl rollout resume deployment {name}`)."
        )
    state = await read_state(client, target)
    if target.preview or (state.route is None and not router_of(target).pods_make_weight):
        await services.routed_port(client, target, state)


async def remarks(client: Client, target: Target, *, autoscaled: bool) -> list[str]:
    """What a team should know before its app is released, as far as the account's rights let it be seen.

    :param autoscaled: an autoscaler owns stable's number of replicas.
    """
    stable, service = await asyncio.gather(
        client.get(DEPLOYMENTS, target.namespace, manifests.stable_name(target)),
        client.get(SERVICES, target.namespace, manifests.service_name(target)),
    )
    if stable is None:
        return []
    said = [*differences(target, stable, service, autoscaled), *_together(target, stable)]
    if target.update is not None:  # a rolling update has no second track
        return said
    if service is not None and not router_of(target).pods_make_weight:
        said += await _missed(client, target, stable, service, autoscaled)
        said += await _for_the_name(client, target)
    return said


def differences(target: Target, stable: Object, service: Object | None, autoscaled: bool) -> Iterator[str]:
    """What the app's file says otherwise than the Deployment, and which of the two counts."""
    workload, name = target.workload, manifests.container_name(target, stable)
    template, given = stable["spec"]["template"], workload.model_fields_set
    container = pods.container_of(template, name)
    what = f"Container {name} of Deployment {stable['metadata']['name']}"
    replicas = stable["spec"].get("replicas", 1)
    if "replicas" in given and replicas != workload.replicas:
        whose = "its autoscaler's number" if autoscaled else "that number"
        yield f"Deployment {stable['metadata']['name']} has {replicas} replicas, and keeps {whose}; the app's file says {workload.replicas}"
    probe = container.get("readinessProbe") or {}
    path = (probe.get("httpGet") or {}).get("path")
    if not probe:
        yield f"{what} has no readinessProbe: its pods count as ready as soon as they run"
    elif "health" in given and path is not None and path != workload.health:
        yield f"{what} is asked at {path} whether it is ready, and stays so; the app's file says {workload.health}"
    if "port" in given and service is not None and not services.leads_to(target, service, stable):
        yield (
            f"Service {service['metadata']['name']} leads to no port {workload.port}, which the app's file says: its own ports stay"
        )
    wanted = pods.limited(container.get("resources") or {}, workload)
    before, after = (it.get("limits") or {} for it in (container.get("resources") or {}, wanted))
    for key in after:
        if after[key] != before.get(key):
            yield f"{what} gets the limit of the app's file: {key} {after[key]}, now {before.get(key, 'without')}"
    for it in container.get("env") or []:
        if "valueFrom" in it and it["name"] in workload.env:
            yield f"{what} takes {it['name']} from {_source(it['valueFrom'])}; from this release on it has the text of the app's file"
    repository = str(container.get("image", "")).partition("@")[0].rpartition(":")[0]
    for it in [*(template["spec"].get("initContainers") or []), *template["spec"]["containers"]]:
        image = str(it.get("image", ""))
        if repository and image != container.get("image") and image.startswith((f"{repository}:", f"{repository}@")):
            yield f"Container {it['name']} runs another version of the app, {image}, and keeps it"


def _together(target: Target, stable: Object) -> Iterator[str]:
    """What can stand in the way of two versions at a time."""
    spec = stable["spec"]["template"]["spec"]
    what = f"Deployment {stable['metadata']['name']}"
    if (stable["spec"].get("strategy") or {}).get("type") == "Recreate":
        yield f"{what} has `strategy: Recreate`: its team does not expect two versions at a time, as a release has them"
    ports = [
        str(it["hostPort"])
        for container in spec["containers"]
        for it in container.get("ports") or []
        if "hostPort" in it
    ]
    if ports:
        yield f"{what} takes the nodes' port {', '.join(ports)}: a second pod needs a node where it is free"
    claims = [
        it["persistentVolumeClaim"]["claimName"] for it in spec.get("volumes") or [] if "persistentVolumeClaim" in it
    ]
    if claims:
        yield f"{what} has the volume {', '.join(claims)}: stable and the new version use it at the same time"


async def _missed(client: Client, target: Target, stable: Object, service: Object, autoscaled: bool) -> list[str]:
    """What reaches stable's pods by labels, and not those of a track that has to differ in one of them."""
    labels: Labels = stable["spec"]["template"].get("metadata", {}).get("labels") or {}
    selectors = await services.selectors_of(client, target, service, labels)
    if autoscaled:
        selectors.append(stable["spec"]["selector"].get("matchLabels") or {})
    track = manifests.release_track(target)
    kept = manifests.not_selected({**labels, **manifests.own_labels(target, track)}, selectors, track)
    changed = {key: it for key, it in kept.items() if key in labels and labels[key] != it and key != TRACK}
    if not changed:
        return []
    found = await asyncio.gather(*(_objects(client, target, it) for it in BY_LABELS))
    missed = [
        f"{it.kind} {obj['metadata']['name']}"
        for it, objects in zip(BY_LABELS, found, strict=True)
        for obj in objects
        if it.selectors
        and any(_matches(s, labels) and not _matches(s, kept) for s in it.selectors(obj.get("spec") or {}))
    ]
    if not missed:
        return []
    listed = ", ".join(f"{key}={it}" for key, it in changed.items())
    pin = f"{TRACK}: stable"
    return [
        f"{_listed(missed)} will not reach the {track}'s pods: they have {listed}, so that no Service takes them for stable's. Select "
        f"them by another label, or give stable's pods and what selects them for traffic the label `{pin}`: then the {track} keeps all others"
    ]


async def _for_the_name(client: Client, target: Target) -> list[str]:
    found = await asyncio.gather(*(_objects(client, target, it) for it in BY_NAME))
    own = {manifests.stable_name(target), manifests.service_name(target)}
    names = {name + rest for name in own for rest in _host_ends(target.namespace)}
    meant = [
        f"{it.kind} {obj['metadata']['name']}"
        for it, objects in zip(BY_NAME, found, strict=True)
        for obj in objects
        if it.name and names & set(it.name(obj.get("spec") or {}))
    ]
    track = manifests.release_track(target)
    if not meant:
        return []
    name = manifests.deployment_name(target, track)
    return [
        f"{_listed(meant)}: for {manifests.stable_name(target)} by its name, and not for {name}, which may need the like"
    ]


async def _objects(client: Client, target: Target, standing: Standing) -> list[Object]:
    """All of that kind in the namespace; none where the cluster does not have them, or the account may not see them."""
    with suppress(PlatformError):
        versions = await client.versions(standing.group)
        if versions:
            resource = Resource(f"{standing.group}/{versions[0]}", standing.plural, standing.kind)
            return await client.find(resource, target.namespace)
    return []


def _matches(selector: Any, labels: Labels) -> bool:
    """Whether a label selector (or plain labels) picks a pod; an empty one, which picks all, makes no difference."""
    if not isinstance(selector, dict) or not selector:
        return False
    if not {"matchLabels", "matchExpressions"} & selector.keys():
        return manifests.selects({key.removeprefix("k8s:"): it for key, it in selector.items()}, labels)

    def holds(it: Object) -> bool:
        value, values = labels.get(it["key"]), it.get("values") or []
        return {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }.get(it["operator"], False)

    wanted = {key.removeprefix("k8s:"): it for key, it in (selector.get("matchLabels") or {}).items()}
    return wanted.items() <= labels.items() and all(map(holds, selector.get("matchExpressions") or []))


def _host_ends(namespace: str) -> list[str]:
    """What may follow the name of a Service in a host."""
    return ["", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local"]


def _listed(names: list[str]) -> str:
    """Like ``NetworkPolicy a, NetworkPolicy b and 3 more``."""
    names = list(dict.fromkeys(names))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _source(value: Object) -> str:
    kinds = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}
    return next((f"{kind} {value[key].get('name')}" for key, kind in kinds.items() if key in value), "elsewhere")
