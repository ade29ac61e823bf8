"""A track's Service is stable's, and the port that leads to the app is found wherever it stands."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.platforms.kubernetes import manifests, services
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_manifests import NEW, stable, target

METRICS = {"name": "metrics", "port": 9100, "targetPort": 9100}
HTTP = {"name": "http", "port": 80, "targetPort": 8080}


def service(*ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [*ports], **spec}}


def listening(name: str, port: int) -> dict[str, Any]:
    there = stable()
    there["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"name": name, "containerPort": port}]
    return there


def test_the_port_is_the_one_that_leads_to_the_app() -> None:
    assert services.port_of(target(), service(METRICS, HTTP), stable()) == HTTP
    named = {**HTTP, "targetPort": "web"}
    assert services.port_of(target(), service(METRICS, named), listening("web", 8080)) == named
    only = {"port": 80, "targetPort": 3000}
    assert services.port_of(target(), service(only), stable()) == only


def test_a_port_that_the_route_names_counts_more() -> None:
    other = {"name": "tls", "port": 443, "targetPort": 8443}
    assert services.port_of(target(), service(METRICS, HTTP, other), stable(), [443]) == other
    assert services.port_of(target(), service(METRICS, HTTP, other), stable(), [443, 80]) == HTTP


def test_a_service_of_which_nothing_tells_where_the_app_answers_is_named() -> None:
    with pytest.raises(PlatformError) as caught:
        services.port_of(target(port=5000), service(METRICS, HTTP), stable())
    assert str(caught.value) == (
        "Service web in default has the ports 9100 (metrics, to 9100), 80 (http, to 8080): "
        "`workloads[0].port` is expected to be one that they lead to, found 5000."
    )


def test_a_tracks_service_has_all_that_a_data_plane_reads_and_nothing_that_only_one_can_have() -> None:
    own = service(
        {**HTTP, "nodePort": 30080, "appProtocol": "https"},
        type="LoadBalancer",
        clusterIP="10.0.0.7",
        clusterIPs=["10.0.0.7"],
        loadBalancerIP="1.2.3.4",
        externalTrafficPolicy="Local",
        healthCheckNodePort=31000,
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}},
        trafficDistribution="PreferClose",
        internalTrafficPolicy="Local",
        ipFamilyPolicy="SingleStack",
        ipFamilies=["IPv4"],
    )
    own["metadata"] |= {
        "labels": {"app": "web", "istio.io/use-waypoint": "edge", "app.kubernetes.io/instance": "shop"},
        "annotations": {
            "projectcontour.io/upstream-protocol.tls": "https",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "external-dns.alpha.kubernetes.io/hostname": "shop.example",
            "argocd.argoproj.io/tracking-id": "shop",
            "release-pipelines/note": "{}",
        },
    }
    body = services.beside_service(target(), "canary", own)
    assert body["spec"] == {
        "selector": manifests.own_labels(target(), "canary"),
        "ports": [{**HTTP, "appProtocol": "https"}],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "trafficDistribution": "PreferClose",
        "internalTrafficPolicy": "Local",
        "ipFamilyPolicy": "SingleStack",
        "ipFamilies": ["IPv4"],
    }
    assert body["metadata"]["annotations"] == {"projectcontour.io/upstream-protocol.tls": "https"}
    labels = {"app": "web", "istio.io/use-waypoint": "edge", **manifests.track_labels(target(), "canary")}
    assert body["metadata"]["labels"] == labels
    assert services.beside_service(target(), "canary", service(HTTP, clusterIP="None"))["spec"]["clusterIP"] == "None"


def test_the_scheme_is_the_services_or_the_probes() -> None:
    assert services.scheme_of({**HTTP, "appProtocol": "https"}, stable()) == "https"
    assert services.scheme_of(HTTP, stable()) == "http"
    there = listening("web", 8080)
    probe = {"httpGet": {"path": "/", "port": "web", "scheme": "HTTPS"}}
    there["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe
    assert services.scheme_of(HTTP, there) == "https"
    assert services.scheme_of({**HTTP, "appProtocol": "http"}, there) == "http"
    assert services.scheme_of(METRICS, there) == "http"


async def standing(client: MemoryClient, selector: dict[str, str], *ports: dict[str, Any]) -> Any:
    """A team's app with its Service, and the fence of a release."""
    platform, app = kubernetes(client), target()
    fence = (await platform.take_lease(app, "release", 60)).fence
    await platform.deploy(app, "stable", NEW.model_copy(update={"version": "1.0.0"}), 2, fence)
    client.objects["services", "web"]["spec"] |= {"selector": selector, "ports": [*ports]}
    client.objects["deployments", "web"]["spec"]["template"]["metadata"]["labels"]["team"] = "shop"
    return platform, app, fence


LISTENER = {"name": "web", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}
GATEWAY = {"metadata": {"name": "edge", "namespace": "infra"}, "spec": {"listeners": [LISTENER]}}


async def test_routes_that_are_made_name_the_port_that_leads_to_the_app() -> None:
    client = MemoryClient(gateway__networking__k8s__io=["v1"])
    client.objects["gateways", "edge"] = GATEWAY
    platform, app, fence = await standing(client, {"app": "web"}, METRICS, HTTP)
    app = app.model_copy(update={"preview": True, "preview_host": "preview.web"})
    assert await platform.split(app, ALL_TO_STABLE, RouteNote(), fence)
    await platform.deploy(app, "preview", NEW, 2, fence)
    await platform.advance(app, "preview", fence)
    for name in ("web", "web-preview"):
        (ref,) = client.objects["httproutes", name]["spec"]["rules"][0]["backendRefs"]
        assert ref["port"] == 80


async def test_a_canary_keeps_all_labels_where_stables_service_tells_the_tracks_apart() -> None:
    client = MemoryClient(gateway__networking__k8s__io=["v1"])
    platform, app, fence = await standing(client, {"app": "web", manifests.TRACK: "stable"}, HTTP)
    await platform.deploy(app, "canary", NEW, 1, fence)
    labels = client.objects["deployments", "web-canary"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "web", "team": "shop", **manifests.own_labels(app, "canary")}


async def test_no_other_service_of_the_app_picks_a_canary() -> None:
    client = MemoryClient(gateway__networking__k8s__io=["v1"])
    platform, app, fence = await standing(client, {"app": "web", manifests.TRACK: "stable"}, HTTP)
    inside = {"metadata": {"name": "web-inside"}, "spec": {"selector": {"team": "shop"}, "ports": [HTTP]}}
    client.objects["services", "web-inside"] = inside
    await platform.deploy(app, "canary", NEW, 1, fence)
    labels = client.objects["deployments", "web-canary"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "web", "team": "shop-canary", **manifests.own_labels(app, "canary")}


async def test_the_service_of_a_first_release_tells_the_tracks_apart() -> None:
    client = MemoryClient(gateway__networking__k8s__io=["v1"])
    platform, app = kubernetes(client), target()
    fence = (await platform.take_lease(app, "release", 60)).fence
    await platform.deploy(app, "stable", NEW, 2, fence)
    made = client.objects["services", "web"]["spec"]["selector"]
    assert made == {"app": "web", manifests.TRACK: "stable"}
    labels = client.objects["deployments", "web"]["spec"]["template"]["metadata"]["labels"]
    assert manifests.selects(made, labels)
