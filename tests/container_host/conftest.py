"""A real engine, registry, store and proxy, once for all tests; an app of its own for each."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.core.model.artifact import Artifact
from tests.container_host import shops, side_by_side
from tests.container_host import stack as running
from tests.container_host.shops import PREFIX, Recorded, Shop
from tests.container_host.stack import Stack
from tests.container_host.worlds import World, world_on

APP = Path(__file__).with_name("app")
VERSIONS = {
    shops.OLD: "good",
    shops.NEW: "good",
    **shops.FAULTS,
    "1.3.0": "deaf",
    "1.4.0": "sick",
    "1.5.0": "no-command",
    "1.6.0": "hungry",
}
"""All that scenarios need, built before they begin: nothing may stop their event loop."""


def why_not() -> str | None:
    """Why the tests cannot run here, or None."""
    engine = () if os.environ.get("RELEASE_TEST_ENGINE") else ("podman", "docker-registry")
    missing = [name for name in (*engine, "prometheus") if not shutil.which(name)]
    return f"the container host's tests need {' and '.join(missing)} (or RELEASE_TEST_ENGINE)" if missing else None


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    stack = Stack(tmp_path_factory.mktemp("container_host"))
    try:
        given = os.environ.get("RELEASE_TEST_ENGINE")
        if given:
            stack.engine_url = given
            stack.registry = os.environ.get("RELEASE_TEST_REGISTRY", "127.0.0.1:5000")
        else:
            running.start_registry(stack)
            running.start_engine(stack)
        stack.base_image = os.environ.get("RELEASE_TEST_BASE_IMAGE") or base_image(stack)
        running.start_store(stack)
        running.start_proxy(stack)
        running.start_metrics(stack)
        yield stack
        remove_containers(stack)
    finally:
        stack.stop()
        running.stop_engine(stack)


def base_image(stack: Stack) -> str:
    """An image with Python, the one of the sandbox."""
    from sandbox.engine import base_image as made

    return str(made(stack.engine_url))


def remove_containers(stack: Stack) -> None:
    """Remove all that a failed test may have left."""
    import docker

    client = docker.DockerClient(base_url=stack.engine_url)
    for container in client.containers.list(all=True, filters={"label": "release-pipelines.app"}):
        if container.labels["release-pipelines.app"].startswith(PREFIX):
            container.remove(force=True)


@pytest.fixture(scope="session")
def image(stack: Stack) -> Callable[..., Artifact]:
    """``image("1.0.0", mode="crash")``: builds and pushes an image once, and returns it as an artifact."""
    import docker

    client = docker.DockerClient(base_url=stack.engine_url, timeout=300)
    built: dict[tuple[str, str], Artifact] = {}

    def make(version: str, mode: str = "good") -> Artifact:
        if (version, mode) not in built:
            repository = f"{stack.registry}/shop"
            args = {"BASE": stack.base_image, "VERSION": version, "MODE": mode}
            stage = mode if mode == "no-command" else "good"
            # Podman would take the layers of another version from its cache.
            client.images.build(
                path=str(APP), tag=f"{repository}:{version}", buildargs=args, target=stage, rm=True, nocache=True
            )
            digest = ""
            for line in client.images.push(repository, tag=version, stream=True, decode=True):
                assert "error" not in line, line
                digest = (line.get("aux") or {}).get("Digest") or digest
                if "digest: sha256:" in line.get("status", ""):
                    digest = line["status"].split("digest: ")[1].split()[0]
            built[version, mode] = Artifact(app="shop", version=version, image=repository, digest=digest)
        return built[version, mode]

    return make


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    async with world_on(stack) as it:
        yield it


@pytest.fixture(scope="session")
def scenarios(
    request: pytest.FixtureRequest,
    stack: Stack,
    image: Callable[..., Artifact],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, BaseException | None]]:
    """What every selected scenario came to: none, or the error that it ended with."""
    from release_pipelines.adapters.platforms.container_host import platform
    from release_pipelines.features.report import operators as report

    folder, acts = tmp_path_factory.mktemp("shops"), side_by_side.selected(request.session)
    with ThreadPoolExecutor(2) as builders:
        list(builders.map(lambda it: image(*it), VERSIONS.items()))
    with pytest.MonkeyPatch.context() as patch:
        for name, connection in shops.connections(stack, folder).items():
            patch.setenv(name, connection)
        patch.setenv("RELEASE_PIPELINES_STATE", str(folder / "state"))
        patch.setattr(platform, "ContainerHost", Recorded)
        # Every task is a process to Airflow; here they are threads, which must not draw at the same time.
        patch.setattr(report, "_draw", lambda *_: None)

        @asynccontextmanager
        async def shop() -> AsyncIterator[Shop]:
            it = Shop(stack, folder, image)
            async with it.platform:
                try:
                    async with it.visitors.there():
                        yield it
                finally:
                    for container in await it.containers():
                        await asyncio.to_thread(container.remove, force=True)
                    await shops.forgotten(stack, it.app)

        places = {"shop": shop, "world": lambda: world_on(stack), "image": lambda: nullcontext(image)}
        yield asyncio.run(run_all(acts, places))


async def run_all(acts: dict[str, Any], places: dict[str, Any]) -> dict[str, BaseException | None]:
    """All scenarios, with enough threads for their operators."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(32))
    return await side_by_side.together(acts, places)
