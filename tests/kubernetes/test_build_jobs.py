"""Jobs that build, on a real cluster. What stands for kaniko builds nothing: whose word about the digest counts is Kubernetes' and ours."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import asynccontextmanager
from typing import Any

import pytest

from release_pipelines.adapters.remote_builders.kubernetes_job import REMOTE_BUILDER
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import Publication
from release_pipelines.core.ports.remote_builder import Clients, Order, Standing
from tests.kubernetes import image
from tests.kubernetes.conftest import CACHE, kubectl, opened

DIGEST = f"sha256:{'d' * 64}"


@pytest.fixture(scope="module")
def builder_image(registry: str) -> str:
    digest = image.push("1", CACHE, repository="release-test/builder", tag="1", program=image.BUILDER)
    return f"{registry}/release-test/builder@{digest}"


def order(**args: str) -> Order:
    return Order(
        key=uuid.uuid4().hex,
        repository="https://git.example/shop.git",
        commit="b" * 40,
        ref="refs/tags/v1.1.0",
        publication=Publication("registry.example/shop"),
        tag="1.1.0",
        version="1.1.0",
        args=args,
        timeout=120,
    )


@asynccontextmanager
async def builder(builder_image: str, namespace: str, **settings: Any) -> Any:
    given = {"image": builder_image, "tool": "kaniko", "namespace": namespace, **settings}
    clients = Clients(kubernetes=opened(), aws=lambda *_: None)
    async with REMOTE_BUILDER.open(Connection(kind="kubernetes"), clients, given) as it:
        yield it


async def ended(it: Any, build: str, within: float = 150) -> Standing:
    deadline = time.monotonic() + within
    while True:
        now: Standing = await it.look(build)
        if now.ended:
            return now
        assert time.monotonic() < deadline, now.sentence
        await asyncio.sleep(0.3)


async def test_the_pod_that_succeeded_says_the_digest(builder_image: str, namespace: str) -> None:
    async with builder(builder_image, namespace) as it:
        asked = order(DIGEST=DIGEST)
        build = await it.start(asked)
        assert await it.start(asked) == build  # by a try that did not hear of the first
        assert (await ended(it, build)).digest == DIGEST
    assert len(kubectl("-n", namespace, "get", "jobs", "-o", "name").split()) == 1


async def test_of_a_job_that_kubernetes_tried_again_the_failed_pod_is_not_believed(
    builder_image: str, namespace: str
) -> None:
    async with builder(builder_image, namespace, retries=4) as it:
        build = await it.start(order(DIGEST=DIGEST, BAD_UNTIL=str(time.time() + 25)))  # its first pod has begun by then
        assert (await ended(it, build)).digest == DIGEST
    assert len(kubectl("-n", namespace, "get", "pods", "-o", "name").split()) > 1


async def test_a_job_that_failed_gives_no_digest_though_its_pod_named_one(builder_image: str, namespace: str) -> None:
    async with builder(builder_image, namespace) as it:
        build = await it.start(order(DIGEST=DIGEST, BAD_UNTIL=str(time.time() + 600)))
        with pytest.raises(
            PlatformError,
            match=r"BackoffLimitExceeded.*exit code 1(?s:.*)building git://git\.example/shop\.git#refs/tags/v1\.1\.0#b",
        ):
            await ended(it, build)


async def test_a_job_that_is_stopped_is_gone_with_its_pods(builder_image: str, namespace: str) -> None:
    async with builder(f"{builder_image.partition('@')[0]}:none", namespace) as it:
        build = await it.start(order(DIGEST=DIGEST))
        assert (await it.look(build)).ended is False
        await it.stop(build)
        deadline = time.monotonic() + 60
        while kubectl("-n", namespace, "get", "pods", "-o", "name").strip():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.3)
        with pytest.raises(PlatformError, match="is gone: whether it succeeded is not known"):
            await it.look(build)
