"""One app in a namespace of its own, with people who use it all the time."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.adapters.routers.gateway_api import SUPPORTS
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.checks import check
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.target import target as target_of
from sandbox.kubernetes import manifests
from tests.kubernetes.conftest import apply, kubectl, opened, service
from tests.kubernetes.data_planes import TRAEFIK, DataPlane, RouterKind
from tests.kubernetes.stack import NAMESPACES, Stack

CLIENTS = 2
PAUSE = 0.1

_COUNTED = 'sum(increase(app_requests_total{namespace="{{ namespace }}",track="{{ track }}"%s}[{{ window }}]))'
METRICS: dict[RouterKind, dict[str, Any]] = {
    "gateway_api": {"name": "errors", "source": "errors", "limit": "1%", "min_requests": 4},
    # Without a mesh the app counts by itself.
    "replicas": {
        "name": "errors",
        "bad": _COUNTED % ',code=~"5.."' + " or vector(0)",
        "total": _COUNTED % "",
        "limit": "1%",
        "min_requests": 4,
    },
    # Its proxies are not there: something that can be measured all the same.
    "istio": {"name": "queue", "query": "vector(0)", "limit": 1},
}


@dataclass
class Visits:
    """What came back of a stream of requests."""

    versions: Counter[str] = field(default_factory=Counter)
    configured: set[tuple[str, str, str]] = field(default_factory=set)
    """Version, greeting and colour, as answers named them."""
    lost: list[str] = field(default_factory=list)
    """No answer, or a 5xx that the app did not give itself."""


@dataclass
class World:
    """The namespace, and the ways into it."""

    stack: Stack
    platform: Kubernetes
    namespace: str
    router: RouterKind = "gateway_api"
    plane: DataPlane = TRAEFIK
    url: str = ""
    """Where requests go in: the proxy, or the Service itself."""
    releases: int = 0

    @property
    def serving(self) -> bool:
        """Whether something answers for the app."""
        return self.router != "istio" or self.plane is not TRAEFIK

    async def behind(self, plane: DataPlane, replicas: int) -> None:
        """A team's app behind another gateway than the one of these tests."""
        self.plane, self.url = plane, plane.url
        await self.adopt(plane.router, replicas)

    async def adopt(self, router: RouterKind, replicas: int, **env: str) -> None:
        """A team's app as it stands: 1.0.0 has all traffic, and no release has ever touched it."""
        self.router = router
        await self.apply(team_deployment(self.artifact("1.0.0"), replicas, env), service(self.namespace))
        if router == "replicas":
            self.url = f"http://{(await self.get('service', 'web'))['spec']['clusterIP']}:8080"
        else:
            await self.apply(team_route(router, self.host, self.plane))
        await self.until(lambda observed: observed.track("stable").settled, within=600)
        if self.serving:
            await self.serves("1.0.0")

    @property
    def app(self) -> str:
        """A name that no other scenario has: the history is common to all."""
        return self.namespace.replace(NAMESPACES, "shop-")

    @property
    def host(self) -> str:
        """Host header of the app."""
        return f"{self.namespace}.localhost"

    def artifact(self, version: str, mode: str = "good") -> Artifact:
        """An image of the app, see :func:`tests.kubernetes.image.push`."""
        return self.stack.artifact(version, mode).model_copy(update={"app": self.app})

    def broken(self, mode: str) -> Artifact:
        """1.1.0, which cannot start: ``crash``, or ``gone`` for an image that does not exist."""
        if mode == "gone":
            return self.artifact("1.1.0").model_copy(update={"digest": "sha256:" + uuid.uuid4().hex * 2})
        return self.artifact("1.1.0", mode)

    def spec(self, strategy: dict[str, Any], analysis: dict[str, Any] | None = None, **workload: Any) -> ReleaseSpec:
        """What a team would write, checked as their files are."""
        counted = METRICS["gateway_api"] if self.plane.dialect else METRICS[self.router]
        judged = {"interval": 1, "patience": 60, "metrics": [counted], **(analysis or {})}
        app = AppSpec.model_validate(
            {
                "name": self.app,
                "environments": ["production"],
                "workloads": [{"name": "web", "replicas": 2, "ready_timeout": 180, **workload}],
                "strategy": strategy,
                "analysis": judged,
                "smoke_test": ["/"] if self.serving else [],  # nothing answers for it
            }
        )
        production = EnvironmentSpec.model_validate(
            {
                "name": "production",
                "platform": "kubernetes",
                "connections": {"platform": "cluster", "engine": "none", "registry": "none", "prometheus": "metrics"},
                "namespace": self.namespace,
                "router": {"kind": self.router, "route": "web", "dialect": self.plane.dialect},
                "address": {"url": self.url, "host": self.host},
                "approvers": ["bob"],
            }
        )
        assert isinstance(app.analysis, Analysis)
        assert list(check(app, [production], app.analysis)) == []
        return ReleaseSpec(app=app, environments=[production], analysis=app.analysis)

    async def first(self, spec: ReleaseSpec, artifact: Any) -> None:
        """The app's first release. Nobody uses it before: there is nothing to measure."""
        from tests.kubernetes.release import Release

        blind = {"on_inconclusive": "continue", "patience": 0.1}
        ending = await Release(
            self, spec.model_copy(update={"analysis": spec.analysis.model_copy(update=blind)}), artifact
        ).run()
        assert ending.outcome == "released", ending.sentence

    # --- visitors ---------------------------------------------------------------------------------------------

    def session(self) -> aiohttp.ClientSession:
        """A client; without a proxy every request has a connection of its own, because those are what is balanced."""
        connector = aiohttp.TCPConnector(force_close=self.router != "gateway_api")
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10))

    @asynccontextmanager
    async def visitors(self, path: str = "/") -> AsyncIterator[Visits]:
        """People who ask without end as long as the block runs; for ``/work`` the app has something to do."""
        visits, over = Visits(), asyncio.Event()

        async def visitor(session: aiohttp.ClientSession) -> None:
            while not over.is_set():
                await self.visit(session, visits, {}, path)
                await asyncio.sleep(PAUSE)

        async with self.session() as session:
            people = [asyncio.create_task(visitor(session)) for _ in range(CLIENTS)]
            try:
                yield visits
            finally:
                over.set()
                await asyncio.gather(*people)

    async def visit(
        self, session: aiohttp.ClientSession, visits: Visits, headers: dict[str, str], path: str = "/"
    ) -> None:
        """One request, counted."""
        try:
            async with session.get(self.url + path, headers={"Host": self.host, **headers}) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            visits.lost.append(f"{time.time():.3f} {error!r}")
            return
        said = answer.headers
        version = said.get("X-App-Version")
        if version is None:
            visits.lost.append(f"{time.time():.3f} status {answer.status} without a version")
            return
        visits.versions[version] += 1
        visits.configured.add((version, said.get("X-App-Greeting", ""), said.get("X-App-Colour", "")))

    async def answers(self, headers: dict[str, str] | None = None, number: int = 12) -> Counter[str]:
        """The versions that so many requests get."""
        visits = await self.asked(headers, number)
        visits.versions["lost"] += len(visits.lost)
        return +visits.versions

    async def configured(self) -> set[tuple[str, str, str]]:
        """Version, greeting and colour, as some requests have them."""
        return (await self.asked()).configured

    async def asked(self, headers: dict[str, str] | None = None, number: int = 12) -> Visits:
        """So many requests, one after the other."""
        visits = Visits()
        async with self.session() as session:
            for _ in range(number):
                await self.visit(session, visits, headers or {})
        return visits

    async def serves(self, version: str, headers: dict[str, str] | None = None, within: float = 90) -> None:
        """Wait until nothing but this version answers: a proxy takes a moment to see a change."""

        async def versions() -> set[str]:
            return set(await self.answers(headers))

        await self.soon(versions, {version}, within)

    async def soon(self, ask: Callable[[], Awaitable[Any]], wanted: Any, within: float = 90) -> None:
        """Ask until the answer is what is wanted."""
        deadline = time.monotonic() + within
        while (found := await ask()) != wanted:
            assert time.monotonic() < deadline, f"{wanted} is expected, found {found}"
            await asyncio.sleep(0.1)

    # --- looking ----------------------------------------------------------------------------------------------

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object of the cluster."""
        text = await asyncio.to_thread(kubectl, "get", kind, name, "-n", self.namespace, "-o", "json")
        found: dict[str, Any] = json.loads(text)
        return found

    async def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects as a person would."""
        placed = [{**it, "metadata": {**it["metadata"], "namespace": self.namespace}} for it in objects]
        await asyncio.to_thread(apply, *placed)

    async def patch(self, kind: str, name: str, body: dict[str, Any], manager: str = "team") -> None:
        """Change an object as somebody else would."""
        args = ("patch", kind, name, "-n", self.namespace, "-p", json.dumps(body), f"--field-manager={manager}")
        await asyncio.to_thread(kubectl, *args)

    async def objects(self) -> list[str]:
        """All that a release can leave behind, as ``kind/name``; what every namespace has is left out."""
        kinds = "deployments,services,httproutes,virtualservices,leases,secrets,configmaps"
        text = await asyncio.to_thread(kubectl, "get", kinds, "-n", self.namespace, "-o", "json")
        found = [
            f"{it['kind']}/{it['metadata']['name']}"
            for it in json.loads(text)["items"]
            if it["metadata"]["name"] != "kube-root-ca.crt" and it.get("type") != "kubernetes.io/service-account-token"
        ]
        return sorted(found)

    async def until(self, true: Callable[[Observed], bool], within: float = 240) -> Observed:
        """Wait until what is observed fits."""
        deadline = time.monotonic() + within
        target = self.target()
        while not true(observed := await self.platform.observe(target)):
            assert time.monotonic() < deadline, f"it did not come to be: {observed}"
            await asyncio.sleep(0.2)
        return observed

    async def held(self, step: str, within: float = 240) -> Observed:
        """Wait until the release holds at a step: its traffic is accepted, and nothing is decided yet."""

        def there(observed: Observed) -> bool:
            note = observed.route.note if observed.route else RouteNote()
            return note.step == step and note.verdict is None and note.started_at is not None

        return await self.until(there, within)

    def target(self) -> Target:
        """The app, for who only looks."""
        return target_of(self.spec({"rolling": {}}), "production")

    async def clean(self, *more: str) -> None:
        """Assert that nothing is left but the app: one Deployment, one Service, one route, a Lease that nobody holds."""
        route = {"gateway_api": ["HTTPRoute/web"], "istio": ["VirtualService/web"], "replicas": []}[self.router]
        expected = ["Deployment/web", f"Lease/release-{self.app}", "Service/web", *route, *more]
        assert await self.objects() == sorted(expected)
        observed = await self.platform.observe(self.target())
        assert observed.lease is None
        assert observed.weight("stable") == 100


def team_deployment(artifact: Artifact, replicas: int, env: dict[str, str]) -> dict[str, Any]:
    """A Deployment that loses no request in a rolling update, and is not called unready because its machine is busy."""
    container = {
        "name": "web",
        "image": f"{artifact.image}:{artifact.version}@{artifact.digest}",  # a tag is how the version of a team's own is known
        "ports": [{"containerPort": 8080}],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": 5},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "resources": {"requests": {"cpu": "25m"}},  # without, it would get next to nothing of a busy machine
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }


def team_route(router: RouterKind, host: str, plane: DataPlane = TRAEFIK) -> dict[str, Any]:
    """What sends all requests to Service web."""
    if router == "istio":
        destination = {"host": "web", "port": {"number": 8080}}
        spec: dict[str, Any] = {
            "hosts": [host],
            **plane.parent,
            "http": [{"route": [{"destination": destination, "weight": 100}]}],
        }
        return {
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "VirtualService",
            "metadata": {"name": "web"},
            "spec": spec,
        }
    ref = {"group": "", "kind": "Service", "name": "web", "port": 8080, "weight": 100}
    spec = {"parentRefs": [plane.parent or {"name": "web"}], "hostnames": [host], "rules": [{"backendRefs": [ref]}]}
    api = "gateway.networking.k8s.io/v1"
    metadata = {"name": "web", "annotations": {SUPPORTS: plane.supports} if plane.supports else {}}
    return {"apiVersion": api, "kind": "HTTPRoute", "metadata": metadata, "spec": spec}


@asynccontextmanager
async def opened_world(stack: Stack) -> AsyncIterator[World]:
    """A world in a namespace of its own, which goes with it."""
    namespace = f"{NAMESPACES}{uuid.uuid4().hex[:8]}"
    own = manifests.namespace(namespace, {"release-pipelines/test": "true"})
    gateway = manifests.gateway(namespace, stack.gateway, stack.gateway_class)
    await asyncio.to_thread(apply, own, gateway)
    try:
        async with Kubernetes(opened()) as platform:
            yield World(stack, platform, namespace, url=f"http://127.0.0.1:{stack.gateway}")
    finally:
        await asyncio.shield(asyncio.to_thread(kubectl, "delete", "namespace", namespace, "--wait=false"))


async def all_of(*waits: Awaitable[Any]) -> list[Any]:
    """Await all; the first that fails ends the others."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_awaited(it)) for it in waits]
    return [task.result() for task in tasks]


async def _awaited(wait: Awaitable[Any]) -> Any:
    return await wait
