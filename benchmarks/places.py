"""Where releases are measured: a container host of its own, and a cluster with each of its routers. Real requests."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.table import Skip

if TYPE_CHECKING:
    from release_pipelines.core.model.artifact import Artifact
    from release_pipelines.core.model.target import Target
    from release_pipelines.core.model.track import Track
    from release_pipelines.core.ports.platform import Platform

APP = "benchmark"
HOST = f"{APP}.localhost"
POLL = 0.01
"""Seconds between two requests."""


@dataclass
class Place:
    """Where two versions run."""

    name: str
    platform: Callable[[], Platform]
    target: Target
    good: Artifact
    new: Artifact
    answers: bool = True
    """Whether requests get there."""


@dataclass
class Seen:
    """When each answered request was sent, by the version that answered; and how many were lost."""

    sent: dict[str, list[float]] = field(default_factory=dict)
    lost: int = 0

    def last(self, version: str, default: float) -> float:
        """When the last request was sent that this version answered."""
        return max(self.sent.get(version, []), default=default)


@asynccontextmanager
async def requests_to(place: Place) -> AsyncIterator[Seen]:
    """A request every 10 ms, each with a connection of its own: without a mesh a kept one stays with its pod."""
    import aiohttp

    seen, stop = Seen(), asyncio.Event()

    async def one(session: aiohttp.ClientSession) -> None:
        sent = time.time()
        try:
            async with session.get(place.target.url, headers={"Host": place.target.host or ""}) as answer:
                if version := answer.headers.get(place.target.version_header):
                    seen.sent.setdefault(version, []).append(sent)
                else:
                    seen.lost += 1
        except (aiohttp.ClientError, TimeoutError):
            seen.lost += 1

    async def all_() -> None:
        connector = aiohttp.TCPConnector(force_close=True, limit=200)
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
            while not stop.is_set():
                group.create_task(one(session))
                await asyncio.sleep(POLL)

    if not place.answers:
        yield seen
        return
    asking = asyncio.create_task(all_())
    try:
        yield seen
    finally:
        stop.set()
        await asking


async def settle(platform: Platform, place: Place, track: Track, fence: int) -> None:
    """Let a track run what it shall run, and wait until it does."""
    artifact = place.good if track == "stable" else place.new
    await platform.deploy(place.target, track, artifact, 1, fence)
    try:
        async with asyncio.timeout(180):
            while not (status := await platform.advance(place.target, track, fence)).settled:
                if status.failure:
                    raise Skip(f"{place.name}: {status.failure}")
                await asyncio.sleep(0.3)
    except TimeoutError:
        raise Skip(f"{place.name}: {track} was not ready within three minutes: {status.waiting}") from None


@asynccontextmanager
async def side_by_side(place: Place, track: Track) -> AsyncIterator[tuple[Platform, int]]:
    """Both versions run, the new one without traffic; the platform and the fence with which it may be written to."""
    from release_pipelines.core.model.route import RouteNote
    from release_pipelines.core.model.traffic import share_with

    async with place.platform() as platform:
        fence = (await platform.take_lease(place.target, APP, 3600)).fence
        await settle(platform, place, "stable", fence)
        none = share_with(track, 0)
        await platform.split(place.target, none, RouteNote(release=APP, traffic=none), fence)
        await settle(platform, place, track, fence)
        yield platform, fence


@contextmanager
def history() -> Iterator[None]:
    """A release history in a folder of its own, in which triggers look for what people tell them."""
    with tempfile.TemporaryDirectory() as folder:
        connection = {"conn_type": "sqlite", "host": f"{folder}/history.db"}
        os.environ["AIRFLOW_CONN_RELEASE_HISTORY"] = json.dumps(connection)
        yield


# --- places -------------------------------------------------------------------------------------------------------


@contextmanager
def container_host() -> Iterator[Place]:
    """An engine, a store and a proxy of its own."""
    from release_pipelines.adapters.platforms.container_host.platform import ContainerHost
    from release_pipelines.core.model.target import RouterSettings
    from tests.container_host import stack as running
    from tests.container_host.conftest import why_not

    if reason := why_not():
        raise Skip(f"container host: {reason}")
    with _registry() as registry, tempfile.TemporaryDirectory() as folder, ExitStack() as ends:
        stack = running.Stack(Path(folder), registry=registry)
        ends.callback(running.stop_engine, stack)
        ends.callback(stack.stop)
        if given := os.environ.get("RELEASE_TEST_ENGINE"):
            stack.engine_url = given
        else:
            running.start_engine(stack)
        running.start_store(stack)
        running.start_proxy(stack)
        ends.callback(_remove_containers, stack.engine_url)
        where = _target(platform="container_host", router=RouterSettings(route=APP), url=stack.web, host=HOST)
        yield Place("container host", lambda: ContainerHost(stack.engine_url, stack.state_url), where, *_images())


@contextmanager
def replicas() -> Iterator[Place]:
    """Kubernetes without a mesh: whole pods are the weights; requests go to the Service's port on the node."""
    from tests.kubernetes.conftest import apply, kubectl

    with _namespace() as namespace:
        ports = [{"port": 8080, "targetPort": 8080}]
        spec = {"type": "NodePort", "selector": {"app": APP}, "ports": ports}
        name = {"name": APP, "namespace": namespace}
        apply({"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": spec})
        port = kubectl("get", "service", APP, "-n", namespace, "-o", "jsonpath={.spec.ports[0].nodePort}")
        yield _kubernetes("Kubernetes, replicas", namespace, "replicas", f"http://127.0.0.1:{port}")


@contextmanager
def gateway_api() -> Iterator[Place]:
    """Kubernetes with the Gateway API: Traefik is the proxy."""
    from sandbox.gateway import start_gateway
    from sandbox.kubernetes import manifests
    from tests.kubernetes.conftest import CACHE, CONTEXT, apply, free_port, kubectl

    with _namespace() as namespace, ExitStack() as ends:
        port = free_port()
        apply(manifests.gateway_class(namespace), manifests.gateway(namespace, port, namespace))
        ends.callback(kubectl, "delete", "gatewayclass", namespace)
        kubeconfig = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
        process = start_gateway(kubeconfig, CONTEXT, port, CACHE / "gateway", [namespace])
        ends.callback(_end, process)
        yield _kubernetes("Kubernetes, Gateway API", namespace, "gateway_api", f"http://127.0.0.1:{port}")


@contextmanager
def istio() -> Iterator[Place]:
    """Kubernetes with Istio's objects and without its proxies: what is written can be measured, not what follows."""
    from tests.kubernetes.conftest import apply

    with _namespace() as namespace:
        name = {"name": APP, "namespace": namespace}
        route = [{"destination": {"host": f"{APP}.{namespace}.svc.cluster.local", "port": {"number": 8080}}}]
        spec = {"hosts": [HOST], "http": [{"route": route}]}
        api = "networking.istio.io/v1beta1"
        apply({"apiVersion": api, "kind": "VirtualService", "metadata": name, "spec": spec})
        place = _kubernetes("Kubernetes, Istio (objects only)", namespace, "istio", "http://127.0.0.1")
        place.answers = False
        yield place


PLACES: tuple[Callable[[], AbstractContextManager[Place]], ...] = (container_host, replicas, gateway_api, istio)


def _target(**where: Any) -> Target:
    from release_pipelines.core.model.target import Target, Workload

    return Target(
        app=APP,
        environment="bench",
        registry_connection="none",
        platform_connection="none",
        prometheus_connection="benchmark_prometheus",
        workload=Workload(name=APP, replicas=1, port=8080),
        preview=True,
        **where,
    )


def _kubernetes(name: str, namespace: str, router: Any, url: str) -> Place:
    from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
    from release_pipelines.core.model.target import RouterSettings
    from tests.kubernetes.conftest import opened

    where = _target(
        platform="kubernetes", namespace=namespace, router=RouterSettings(kind=router, route=APP), url=url, host=HOST
    )
    return Place(name, lambda: Kubernetes(opened()), where, *_images())


@contextmanager
def _namespace() -> Iterator[str]:
    """A namespace of its own, in the cluster that the tests use."""
    if not os.environ.get("KUBERNETES_TEST_CONTEXT"):
        raise Skip("Kubernetes: KUBERNETES_TEST_CONTEXT names no context")
    from sandbox.kubernetes import manifests
    from tests.kubernetes.conftest import apply, kubectl

    name = f"release-benchmark-{uuid.uuid4().hex[:8]}"
    with _registry():
        apply(manifests.namespace(name, {"release-pipelines/test": "true"}))
        try:
            yield name
        finally:
            kubectl("delete", "namespace", name, "--wait=false")


@contextmanager
def _registry() -> Iterator[str]:
    """A registry where the test cluster looks for one; the machine's own, where it has one."""
    from tests.container_host.stack import wait_until
    from tests.kubernetes import image

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
        raise Skip(f"no registry answers on {image.REGISTRY}, and docker-registry is not installed")
    with tempfile.TemporaryDirectory() as home:
        storage = {"filesystem": {"rootdirectory": home}}
        config = Path(home) / "config.yml"  # JSON is YAML
        config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": image.REGISTRY}}))
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=quiet, stderr=quiet)
        try:
            wait_until(answers, "the registry")
            yield image.REGISTRY
        finally:
            _end(process)


def _images() -> tuple[Artifact, Artifact]:
    """Two versions of a tiny app."""
    from release_pipelines.core.model.artifact import Artifact
    from tests.kubernetes import image
    from tests.kubernetes.conftest import CACHE

    name = f"{image.REGISTRY}/{image.REPOSITORY}"
    try:
        good, new = (
            Artifact(app=APP, version=it, image=name, digest=image.push(it, CACHE)) for it in ("1.0.0", "1.1.0")
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip(f"the images cannot be made: {error}") from None
    return good, new


def _remove_containers(engine_url: str) -> None:
    import docker

    client = docker.DockerClient(base_url=engine_url)
    for container in client.containers.list(all=True, filters={"label": f"release-pipelines.app={APP}"}):
        container.remove(force=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)
