"""A real cluster, in the context named by KUBERNETES_TEST_CONTEXT and nowhere else."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.target import RouterSettings, Target, Workload
from sandbox.kubernetes import manifests
from tests.kubernetes import image

if TYPE_CHECKING:
    from tests.kubernetes.side_by_side import Scenarios
    from tests.kubernetes.stack import Stack

CONTEXT = os.environ.get("KUBERNETES_TEST_CONTEXT", "")
CACHE = Path(__file__).parents[2] / ".sandbox" / "cache" / "kubernetes-test"

collect_ignore_glob = [] if CONTEXT else ["test_*.py"]

Do = Callable[..., str]


def kubectl(*args: str, given: Any = None) -> str:
    """Run kubectl in the test context; returns what it prints."""
    command = ["kubectl", f"--context={CONTEXT}", *args]
    text = json.dumps(given) if given is not None else None
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(args)}: {done.stderr}"
    return done.stdout


def apply(*objects: dict[str, Any]) -> None:
    """Apply objects as a person would."""
    kubectl("apply", "--validate=false", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": list(objects)})


def free_port() -> int:
    """A port that is free now, and the next one too."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return int(port)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry where the cluster looks for one; the machine's own, where it has one."""

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://{image.REGISTRY}/v2/", timeout=2):
                return True
        except OSError:
            return False

    if answers():
        yield image.REGISTRY
        return
    if not shutil.which("docker-registry"):
        pytest.skip(f"no registry answers on {image.REGISTRY}, and docker-registry is not installed")
    home = tmp_path_factory.mktemp("registry")
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(home)}},
        "http": {"addr": image.REGISTRY},
    }
    (home / "config.yml").write_text(json.dumps(settings))
    process = subprocess.Popen(
        ["docker-registry", "serve", home / "config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 20
        while not answers():
            assert time.monotonic() < deadline, "docker-registry does not answer"
            time.sleep(0.1)
        yield image.REGISTRY
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def artifacts(registry: str) -> Callable[..., Artifact]:
    """Makes the image of a version, in a mode of :func:`image.push`."""

    def make(version: str, mode: str = "good") -> Artifact:
        digest = image.push(version, CACHE, mode)
        return Artifact(app="web", version=version, image=f"{registry}/{image.REPOSITORY}", digest=digest)

    return make


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace of this test alone."""
    name = f"release-test-{uuid.uuid4().hex[:8]}"
    apply(manifests.namespace(name, {"release-pipelines/test": "true"}))
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def target(namespace: str) -> Callable[..., Target]:
    """Makes the target of a router; by default the plain one, without a mesh."""

    def make(router: str = "replicas", **workload: Any) -> Target:
        return Target(
            app="web",
            environment="production",
            platform="kubernetes",
            platform_connection="cluster",
            registry_connection="registry",
            prometheus_connection="prometheus",
            namespace=namespace,
            workload=Workload(**{"name": "web", "replicas": 1, "ready_timeout": "60s", **workload}),
            router=RouterSettings(kind=router, route="web"),
            url="http://127.0.0.1",
            host="web.localhost",
        )

    return make


def opened(**settings: Any) -> Callable[[], AbstractAsyncContextManager[Any]]:
    """Opens a client of the test cluster, as a connection's hook does."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        from kubernetes_asyncio import client, config

        configuration = client.Configuration()
        await config.load_kube_config(context=CONTEXT, client_configuration=configuration)
        for key, value in settings.items():
            setattr(configuration, key, value)
        async with client.ApiClient(configuration) as api:
            yield api

    return connect


@pytest.fixture
async def cluster() -> AsyncIterator[Kubernetes]:
    """The platform on the test cluster."""
    async with Kubernetes(opened()) as platform:
        yield platform


def deployment(namespace: str, artifact: Artifact, replicas: int) -> dict[str, Any]:
    """A team's own Deployment, with what teams have in theirs."""
    pod = {
        "containers": [
            {
                "name": "web",
                "image": artifact.reference,
                "ports": [{"containerPort": 8080}],
                "env": [{"name": "OWN", "value": "kept"}],
                "readinessProbe": {
                    "httpGet": {"path": "/health", "port": 8080},
                    "periodSeconds": 1,
                    "timeoutSeconds": 5,
                },
            }
        ]
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "100%"}},
            "template": {"metadata": {"labels": {"app": "web", "team": "shop"}}, "spec": pod},
        },
    }


def service(namespace: str, kind: str = "ClusterIP") -> dict[str, Any]:
    """A team's own Service."""
    ports = [{"name": "http", "port": 8080, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"type": kind, "selector": {"app": "web"}, "ports": ports},
    }


@pytest.fixture(scope="session")
def stack(artifacts: Callable[..., Artifact], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Proxy, Prometheus, history, and a loop, for all scenarios."""
    from tests.kubernetes import stack as running

    home = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(
            "AIRFLOW_CONN_RELEASE_HISTORY", json.dumps({"conn_type": "sqlite", "host": f"{home}/history.db"})
        )
        it = running.start(artifacts, home)
        patched.setenv("AIRFLOW_CONN_METRICS", json.dumps({"conn_type": "prometheus", "host": it.prometheus}))
        try:
            yield it
        finally:
            it.stop()


@pytest.fixture(scope="session")
def scenarios(stack: Stack, request: pytest.FixtureRequest) -> Scenarios:
    """All tests that run side by side, begun."""
    from tests.kubernetes.side_by_side import Scenarios

    return Scenarios(stack, request.session.items)
