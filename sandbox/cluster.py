"""The demo on a Kubernetes cluster: what it needs, checked before anything starts, and how Airflow is told of it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.parse
from typing import Any

import yaml

from sandbox import processes, services
from sandbox.gateway import gateway_command
from sandbox.kubernetes import manifests
from sandbox.settings import APP, REGISTRY, ROOT, STATE, SandboxError, environment

FOLDER = STATE / "cluster"
KUBECONFIG = FOLDER / "kubeconfig"
GATEWAY_PORT = 8100
METRICS_PORT = 8102
ENVIRONMENTS = ("staging", "production")
CUSTOM_RESOURCES = ("gatewayclasses", "gateways", "httproutes")
IN_CLUSTER_TEST = """\
import os, runpy
address = "http://{STOREFRONT_SERVICE_HOST}:{STOREFRONT_SERVICE_PORT}".format(**os.environ)
os.environ.update(BASE_URL=address, HOST="")
runpy.run_path("integration.py", run_name="__main__")
"""
"""Inside the cluster this machine's loopback is somewhere else: the test asks the app's Service."""
DIFFERS = {"integration_test": ["python3", "-c", IN_CLUSTER_TEST]}
"""What the app's file says otherwise there."""


class Cluster:
    """A Kubernetes cluster as the place of the demo.

    :param context: kubectl context.
    :param registry: registry that this machine and the cluster both reach; empty: the sandbox's own.
    """

    def __init__(self, context: str, registry: str) -> None:
        self.context = context
        self.registry = registry or REGISTRY
        self.own_registry = not registry
        self.entry = services.Entry(
            url=f"http://127.0.0.1:{GATEWAY_PORT}",
            api=f"http://127.0.0.1:{GATEWAY_PORT + 1}",
            prefix=f"{_namespace('production')}-{APP}-",
        )

    def check(self) -> None:
        """Raise with one line when something is missing; nothing has been started then."""
        if not shutil.which("kubectl", path=environment()["PATH"]):
            raise SandboxError("kubectl is missing.")
        config = json.loads(self._kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        self._kubectl("get", "--raw", "/version")
        for name in CUSTOM_RESOURCES:
            try:
                self._kubectl("get", "crd", f"{name}.gateway.networking.k8s.io", "-o", "name")
            except SandboxError:
                raise SandboxError(
                    f"The cluster of context {self.context} has no Gateway API ({name}): install its CRDs first."
                ) from None
        server = urllib.parse.urlsplit(config["clusters"][0]["cluster"]["server"]).hostname or ""
        if self.own_registry and not _on_this_machine(server):
            raise SandboxError(
                f"The cluster at {server} cannot pull from {REGISTRY}: say REGISTRY=host:port, "
                "a registry that this machine and the cluster both reach."
            )
        if not self.own_registry and not any(
            processes.answers(f"{scheme}://{self.registry}/v2/") for scheme in ("https", "http")
        ):
            raise SandboxError(f"The registry {self.registry} does not answer from this machine.")
        FOLDER.mkdir(parents=True, exist_ok=True)
        KUBECONFIG.touch(mode=0o600)
        KUBECONFIG.write_text(json.dumps(config))

    def start(self) -> None:
        """Namespaces, Gateways, the gateway controller and metrics; configuration files for Airflow."""
        self._apply()
        processes.start("gateway", gateway_command(KUBECONFIG, self.context, GATEWAY_PORT, FOLDER / "gateway"))
        processes.wait_until(lambda: processes.answers(f"{self.entry.api}/ping"), "gateway")
        # Read-only, and only this page: Prometheus needs no credentials of the cluster then.
        metrics = "/api/v1/nodes/[^/]+/proxy/metrics/cadvisor"
        kubectl = ["kubectl", f"--kubeconfig={KUBECONFIG}", f"--context={self.context}"]
        only = [f"--accept-paths=^{metrics}$", "--reject-methods=^(POST|PUT|PATCH|DELETE)$"]
        processes.start("cluster-metrics", [*kubectl, "proxy", f"--port={METRICS_PORT}", *only])
        nodes = self._kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split()
        jobs = {f"{self.entry.api}/metrics": 1}
        jobs |= {f"http://127.0.0.1:{METRICS_PORT}{metrics.replace('[^/]+', node)}": 5 for node in nodes}
        services.start_metrics(jobs)
        self._write_configuration()

    def _apply(self) -> None:
        for name in map(_namespace, ENVIRONMENTS):  # an earlier `make down` does not wait for what it removes
            phase = ("get", "namespace", name, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
            if self._kubectl(*phase) == "Terminating":
                print(f"Waiting until the namespace {name} of an earlier demo is gone")
                self._kubectl("wait", "--for=delete", f"namespace/{name}", "--timeout=180s")
        objects = manifests.demo([_namespace(name) for name in ENVIRONMENTS], GATEWAY_PORT)
        self._kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def _write_configuration(self) -> None:
        folder, source = STATE / "config", ROOT / "include" / "config"
        folder.mkdir(exist_ok=True)
        base = yaml.safe_load((source / "base.yaml").read_text())
        base |= {"platform": "kubernetes", "router": {"kind": "gateway_api"}, "address": {"url": self.entry.url}}
        base["connections"]["platform"] = "sandbox_cluster"
        (folder / "base.yaml").write_text(yaml.safe_dump(base, sort_keys=False))
        for name in ENVIRONMENTS:
            values = yaml.safe_load((source / f"{name}.yaml").read_text()) | {"namespace": _namespace(name)}
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def variables(self) -> dict[str, str]:
        """Environment variables for Airflow."""
        extra = {"kube_config_path": str(KUBECONFIG), "cluster_context": self.context}
        registry: dict[str, Any] = {"conn_type": "registry", "host": self.registry}
        if self.own_registry:
            registry["extra"] = {"insecure": True}
        return {
            "RELEASE_PIPELINES_CONFIG": str(STATE / "config"),
            "AIRFLOW_CONN_SANDBOX_CLUSTER": json.dumps({"conn_type": "kubernetes", "extra": extra}),
            "AIRFLOW_CONN_SANDBOX_REGISTRY": json.dumps(registry),
        }

    def empty(self) -> None:
        """Remove what earlier releases left in the demo's namespaces."""
        for name in ENVIRONMENTS:
            kinds = "deployments,services,httproutes,leases,pods"
            self._kubectl("delete", kinds, "--all", "--namespace", _namespace(name), "--wait=false")

    def _kubectl(self, *arguments: str, given: str | None = None) -> str:
        return _kubectl(f"--context={self.context}", *arguments, given=given)


def remove() -> None:
    """Remove the demo's namespaces from the cluster that it ran in, if any."""
    if not KUBECONFIG.exists():
        return
    known = ["delete", "namespace", *map(_namespace, ENVIRONMENTS), "--ignore-not-found", "--wait=false"]
    _kubectl(f"--kubeconfig={KUBECONFIG}", *known)
    _kubectl(f"--kubeconfig={KUBECONFIG}", "delete", "gatewayclass", manifests.GATEWAY_CLASS, "--ignore-not-found")


def _kubectl(*arguments: str, given: str | None = None) -> str:
    done = subprocess.run(["kubectl", *arguments], input=given, env=environment(), capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SandboxError(f"kubectl {' '.join(arguments[:3])}: {said}")
    return done.stdout


def _namespace(name: str) -> str:
    return f"{APP}-{name}"


def _on_this_machine(host: str) -> bool:
    """Whether an address is one of this machine's own."""
    try:
        with socket.socket() as probe:
            probe.bind((socket.gethostbyname(host), 0))
    except OSError:
        return False
    return True
