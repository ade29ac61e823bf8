"""Objects that the sandbox needs in a cluster, as plain dicts: ``kubectl apply -f`` takes their JSON."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

NAMESPACE = "release-gateway"
"""Where the gateway controller's account lives."""
ACCOUNT = "gateway"
GATEWAY_CLASS = "release-pipelines"
GATEWAY = "web"


def demo(namespaces: list[str], port: int) -> list[Object]:
    """All that the demo needs before its first release.

    :param namespaces: those of the environments; each gets a Gateway.
    :param port: entry point of the gateway controller.
    """
    parts = [gateway_class()]
    for name in namespaces:
        parts += [namespace(name), gateway(name, port)]
    return parts


def namespace(name: str, labels: dict[str, str] | None = None) -> Object:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def gateway_class(name: str = GATEWAY_CLASS) -> Object:
    """The class of Gateways that Traefik serves."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
    }


def gateway(where: str, port: int, class_name: str = GATEWAY_CLASS) -> Object:
    """A Gateway for the routes of its own namespace.

    :param port: that of the controller's entry point.
    """
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": where},
        "spec": {
            "gatewayClassName": class_name,
            "listeners": [
                {"name": "web", "protocol": "HTTP", "port": port, "allowedRoutes": {"namespaces": {"from": "Same"}}}
            ],
        },
    }


def account() -> list[Object]:
    """A service account for Traefik outside the cluster: reads Services and Secrets, writes statuses of routes."""
    name = {"name": f"{NAMESPACE}-{ACCOUNT}"}
    group = "gateway.networking.k8s.io"
    rules = [
        {"apiGroups": [""], "resources": ["namespaces", "services", "secrets", "configmaps"], "verbs": READ},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
        {"apiGroups": [group], "resources": ["*"], "verbs": READ},
        {"apiGroups": [group], "resources": [f"{it}/status" for it in STATUSES], "verbs": ["update"]},
    ]
    rbac = "rbac.authorization.k8s.io"
    return [
        namespace(NAMESPACE),
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
        },
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": name, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": name,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", **name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        },
    ]


READ = ["get", "list", "watch"]
STATUSES = ["gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "backendtlspolicies"]
