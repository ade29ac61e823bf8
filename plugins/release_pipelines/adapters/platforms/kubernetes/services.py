"""Services of the tracks, and which of a Service's ports leads to the app."""

from __future__ import annotations

import copy
from collections.abc import Collection

from release_pipelines.adapters.kubernetes.client import SERVICES, Client, Object
from release_pipelines.adapters.kubernetes.router import TRACK
from release_pipelines.adapters.platforms.kubernetes import manifests, pods
from release_pipelines.adapters.platforms.kubernetes.routing import router_of
from release_pipelines.adapters.platforms.kubernetes.state import ClusterState, backends
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track

OF_ONE = (
    "clusterIP",
    "clusterIPs",
    "externalIPs",
    "externalName",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "selector",
    "type",
    "allocateLoadBalancerNodePorts",
)
"""What only one Service can have, or what belongs to a way in from outside; whatever begins with ``loadBalancer`` does, too."""
SECURE = {"https", "wss", "kubernetes.io/wss"}
"""Values of ``appProtocol`` of a port that speaks TLS."""


def stable_service(target: Target, deployment: Object, *, alone: bool = False) -> Object:
    """The Service of an app's first release.

    :param alone: other tracks have Services of their own: this one picks nothing but stable.
    """
    port, name = target.workload.port, manifests.service_name(target)
    selector = dict(deployment["spec"]["selector"]["matchLabels"])
    labels = deployment["spec"]["template"].get("metadata", {}).get("labels") or {}
    if alone and labels.get(TRACK) == "stable":
        selector[TRACK] = "stable"
    return {
        "metadata": {"name": name, "labels": {"app": manifests.stable_name(target)}},
        "spec": {"selector": selector, "ports": [{"name": "http", "port": port, "targetPort": port}]},
    }


def beside_service(target: Target, track: Track, service: Object) -> Object:
    """A track's own Service: stable's, with all that a data plane reads there, but the track's pods."""
    spec = {
        key: copy.deepcopy(it)
        for key, it in service["spec"].items()
        if key not in OF_ONE and not key.startswith("loadBalancer")
    }
    spec["ports"] = [{key: it for key, it in port.items() if key != "nodePort"} for port in service["spec"]["ports"]]
    spec["selector"] = manifests.own_labels(target, track)
    if service["spec"].get("clusterIP") == "None":
        spec["clusterIP"] = "None"
    meta = service["metadata"]
    labels = {**pods.copied(meta.get("labels")), **manifests.track_labels(target, track)}
    annotations = pods.copied(meta.get("annotations"))
    return {
        "metadata": {
            "name": manifests.deployment_name(target, track),
            "labels": labels,
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": spec,
    }


def port_of(target: Target, service: Object, stable: Object | None, named: Collection[int] = ()) -> Object:
    """The port of stable's Service behind which the app answers.

    :param named: ports of it that the app's route names: it is one of those, where there are any.
    :raises PlatformError: when nothing tells which one it is.
    """
    routed = [it for it in _ports(service) if it["port"] in named]
    among, wanted = routed or _ports(service), target.workload.port
    fitting = [it for it in among if _leads_to(it, stable) == wanted] or [it for it in among if it["port"] == wanted]
    chosen = fitting or routed or (among if len(among) == 1 else [])
    if not chosen:
        listed = ", ".join(f"{it['port']} ({it.get('name')}, to {it.get('targetPort')})" for it in among)
        raise PlatformError(
            f"Service {service['metadata']['name']} in {target.namespace} has the ports {listed or 'none'}: "
            f"`workloads[0].port` is expected to be one that they lead to, found {wanted}."
        )
    return chosen[0]


def leads_to(target: Target, service: Object, stable: Object | None) -> bool:
    """Whether one of the Service's ports leads to the port of the app's file."""
    return any(_leads_to(it, stable) == target.workload.port for it in _ports(service))


def scheme_of(port: Object, deployment: Object | None) -> str:
    """How the app is spoken to behind a port of its Service: ``http`` or ``https``, as the Service or the app's own probe says."""
    if port.get("appProtocol"):
        return "https" if str(port["appProtocol"]).lower() in SECURE else "http"
    for container in _containers(deployment):
        asked = (container.get("readinessProbe") or {}).get("httpGet") or {}
        if asked and _number(asked.get("port"), deployment) == _leads_to(port, deployment):
            return str(asked.get("scheme", "HTTP")).lower()
    return "http"


def _ports(service: Object) -> list[Object]:
    return [it for it in service["spec"].get("ports") or [] if it.get("protocol", "TCP") == "TCP"]


def _leads_to(port: Object, deployment: Object | None) -> object:
    return _number(port.get("targetPort") or port["port"], deployment)


def _number(port: object, deployment: Object | None) -> object:
    """The number of a port that may be named by a container."""
    named = {it.get("name"): it["containerPort"] for each in _containers(deployment) for it in each.get("ports") or []}
    return named.get(port, port) if isinstance(port, str) else port


def _containers(deployment: Object | None) -> list[Object]:
    return (deployment or {}).get("spec", {}).get("template", {}).get("spec", {}).get("containers") or []


async def routed_port(client: Client, target: Target, state: ClusterState) -> int:
    """The port of stable's Service that a route of the app names, or has to name."""
    service = await client.get(SERVICES, target.namespace, manifests.service_name(target))
    if service is None:
        return target.workload.port
    return int(port_of(target, service, state.stable, routed(target, state))["port"])


def routed(target: Target, state: ClusterState) -> list[int]:
    """The ports of stable's Service that the app's route names."""
    return router_of(target).ports(state.route, backends(target, state)) if state.route else []


async def selectors_of(client: Client, target: Target, service: Object, labels: dict[str, str]) -> list[dict[str, str]]:
    """Selectors of the Services that pick pods with these labels: stable's own, and others as far as they may be seen."""
    try:
        found = await client.find(SERVICES, target.namespace)
    except Forbidden:
        found = []
    others = [it for it in found if it["metadata"]["name"] != service["metadata"]["name"]]
    selectors = [it["spec"].get("selector") or {} for it in (service, *others)]
    return [it for it in selectors if manifests.selects(it, labels)]
