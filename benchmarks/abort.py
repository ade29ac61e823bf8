"""From the failing answer to weight 0: real triggers and platforms, a metrics service that turns bad, real requests."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.table import Skip, table

if TYPE_CHECKING:
    from release_pipelines.domain.values import Artifact, Target
    from release_pipelines.platforms.base import Platform
    from tests.fakes import FakePrometheus

RUNS = 20
POLL = 0.01
APP = "benchmark"


@dataclass
class Place:
    """Where the canary runs."""

    name: str
    platform: Callable[[], Platform]
    target: Target
    good: Artifact
    new: Artifact
    clean: Callable[[], object]


async def settle(platform: Platform, place: Place, track: Any, fence: int) -> None:
    """Let a track run what it shall run."""
    artifact = place.good if track == "stable" else place.new
    await platform.deploy(place.target, track, artifact, 1, fence)
    async with asyncio.timeout(120):
        while not (status := await platform.advance(place.target, track, fence)).settled:
            if status.failure:
                raise Skip(f"{place.name}: {status.failure}")
            await asyncio.sleep(0.3)


async def ask(place: Place, canary_seen: list[float], stop: asyncio.Event) -> None:
    """Requests every 10 ms; notes when each one that the canary answered was sent."""
    import aiohttp

    async def one(session: aiohttp.ClientSession) -> None:
        sent = time.time()
        try:
            async with session.get(place.target.url, headers={"Host": place.target.host or ""}) as answer:
                if answer.headers.get(place.target.version_header) == place.new.version:
                    canary_seen.append(sent)
        except aiohttp.ClientError:
            return

    # A connection for each request: on Kubernetes without a mesh a kept one stays with its pod.
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
        asyncio.TaskGroup() as all_,
    ):
        while not stop.is_set():
            all_.create_task(one(session))
            await asyncio.sleep(POLL)


async def abort(
    platform: Platform, place: Place, metrics: FakePrometheus, fence: int, number: int
) -> tuple[float, float]:
    """One canary at 50 % that turns bad. Milliseconds from the first failing answer to weight 0 accepted; in effect."""
    from release_pipelines.domain.values import Verdict, to_json
    from release_pipelines.spec.analysis import AnalysisSpec
    from release_pipelines.triggers.canary import CanaryTrigger

    counts = {kind: f'{kind}_total{{track="{{{{ track }}}}"}}' for kind in ("bad", "all")}
    metric = {"name": "errors", "bad": counts["bad"], "total": counts["all"], "limit": 0.01, "failure_limit": 0}
    analysis = {"interval": 0.5, "window": 5, "metrics": [metric]}
    trigger = CanaryTrigger(
        target=to_json(place.target),
        release=APP,
        artifact=to_json(place.new),
        fence=fence,
        step=f"run_{number}",
        weight=50,
        replicas=1,
        hold=600,
        analysis=AnalysisSpec.model_validate(analysis).model_dump(mode="json"),
    )
    seen: list[float] = []
    failing: list[float] = []

    def answered(query: str) -> None:
        if metrics.bad and query.startswith("bad") and "canary" in query:
            failing.append(time.time())

    metrics.bad, metrics.answered = 0.0, answered
    stop = asyncio.Event()
    requests = asyncio.create_task(ask(place, seen, stop))
    watch = asyncio.create_task(trigger.watch(platform))
    try:
        async with asyncio.timeout(60):
            while not (seen and trigger.samples):  # the canary has traffic and passed a measurement
                if watch.done():
                    raise Skip(f"{place.name}: the trigger ended early: {watch.result()}")
                await asyncio.sleep(0.05)
            metrics.bad = 0.5
            verdict = Verdict.model_validate((await watch)["verdict"])
            await asyncio.sleep(2)  # a request that still reaches the canary is seen
    except TimeoutError:
        raise Skip(f"{place.name}: run {number} did not end within 60 s") from None
    finally:
        stop.set()
        watch.cancel()
        await asyncio.gather(requests, watch, return_exceptions=True)
    if verdict.judgement != "fail" or not failing:
        raise Skip(f"{place.name}: {verdict.sentence}")
    accepted = verdict.accepted_at or time.time()
    return 1000 * (accepted - failing[0]), 1000 * (max(seen) - failing[0])


async def measure(place: Place) -> list[list[str]]:
    """All runs at one place, as two rows of the table."""
    from benchmarks.triggerer import close_sessions
    from release_pipelines.domain.values import RouteNote
    from tests.fakes import FakePrometheus

    times = []
    async with AsyncExitStack() as opened:
        opened.callback(place.clean)
        metrics = await opened.enter_async_context(FakePrometheus())
        os.environ["AIRFLOW_CONN_BENCHMARK_PROMETHEUS"] = json.dumps({"conn_type": "prometheus", "host": metrics.url})
        opened.push_async_callback(close_sessions)
        platform = await opened.enter_async_context(place.platform())
        fence = (await platform.take_lease(place.target, APP, 3600)).fence
        await settle(platform, place, "stable", fence)
        await platform.split(place.target, 0, RouteNote(release=APP, weight=0), fence)
        await settle(platform, place, "canary", fence)
        for number in range(RUNS):
            times.append(await abort(platform, place, metrics, fence, number))
    accepted, effect = [[run[n] for run in times] for n in (0, 1)]
    return [
        [f"{place.name}: weight 0 accepted", f"{statistics.median(accepted):.0f}", f"{max(accepted):.0f}", "< 1000"],
        [
            f"{place.name}: last request sent to the canary",
            f"{statistics.median(effect):.0f}",
            f"{max(effect):.0f}",
            "< 1000",
        ],
    ]


def target(**where: Any) -> Target:
    """The app that is measured."""
    from release_pipelines.domain.values import Target
    from release_pipelines.spec.models import WorkloadSpec

    return Target(
        app=APP,
        environment="bench",
        registry_connection="none",
        platform_connection="none",
        prometheus_connection="benchmark_prometheus",
        workload=WorkloadSpec(name=APP, replicas=1, port=8080),
        **where,
    )


def images() -> tuple[Artifact, Artifact]:
    """Two versions of a tiny app, in the registry that the sandbox and the test cluster both pull from."""
    from release_pipelines.domain.values import Artifact
    from tests.kubernetes import image
    from tests.kubernetes.conftest import CACHE

    name = f"{image.REGISTRY}/{image.REPOSITORY}"
    try:
        good, new = (
            Artifact(app=APP, version=it, image=name, digest=image.push(it, CACHE)) for it in ("1.0.0", "1.1.0")
        )
    except OSError as error:
        raise Skip(f"the registry {image.REGISTRY} does not answer ({error}): `make up` starts it") from None
    return good, new


def container_host() -> Place:
    """The sandbox: its engine, store and proxy."""
    from include.sandbox import engine
    from include.sandbox.settings import STORE_URL, WEB, SandboxError
    from release_pipelines.platforms.container_host import ContainerHost
    from release_pipelines.spec.models import RouterSpec

    try:
        engine_url = engine.url()
    except SandboxError as error:
        raise Skip(f"container host: {error} (`make up` starts the sandbox)") from None

    def clean() -> None:
        import redis

        for container in engine.client(engine_url).containers.list(
            all=True, filters={"label": f"release-pipelines.app={APP}"}
        ):
            container.remove(force=True)
        store = redis.Redis.from_url(STORE_URL)
        for pattern in (f"traefik/http/*/{APP}-*", f"release-pipelines/{APP}/*"):
            for key in store.scan_iter(pattern):
                store.delete(key)

    return Place(
        "container host",
        lambda: ContainerHost(engine_url, STORE_URL),
        target(platform="container_host", router=RouterSpec(route=APP), url=WEB, host=f"{APP}.localhost"),
        *images(),
        clean,
    )


def kubernetes() -> Place:
    """A namespace of its own in the test cluster, without a mesh; requests by the Service's port on the node."""
    if not os.environ.get("KUBERNETES_TEST_CONTEXT"):
        raise Skip("Kubernetes: KUBERNETES_TEST_CONTEXT names no context")
    from release_pipelines.platforms.kubernetes import Kubernetes
    from release_pipelines.spec.models import RouterSpec
    from tests.kubernetes.conftest import apply, kubectl, opened

    artifacts, namespace = images(), f"release-benchmark-{os.getpid()}"
    service = {"type": "NodePort", "selector": {"app": APP}, "ports": [{"port": 8080, "targetPort": 8080}]}
    labels = {"release-pipelines/test": "true"}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": APP, "namespace": namespace}, "spec": service})
    port = kubectl("get", "service", APP, "-n", namespace, "-o", "jsonpath={.spec.ports[0].nodePort}")
    where = target(
        platform="kubernetes",
        namespace=namespace,
        router=RouterSpec(kind="replicas", route=APP),
        url=f"http://127.0.0.1:{port}",
    )
    return Place(
        "Kubernetes, replicas",
        lambda: Kubernetes(opened()),
        where,
        *artifacts,
        lambda: kubectl("delete", "namespace", namespace, "--wait=false"),
    )


def main() -> None:
    """Print the table."""
    rows, why = [], []
    for place in (container_host, kubernetes):
        try:
            rows += asyncio.run(measure(place()))
        except Skip as reason:
            why.append(str(reason))
    if rows:
        table(f"From the first failing answer, milliseconds ({RUNS} runs)", ["", "median", "most", "target"], rows)
    for sentence in why:
        print(f"  did not run: {sentence}")
