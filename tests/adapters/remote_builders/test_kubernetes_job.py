"""Jobs over an API that keeps what is created, as Kubernetes does: names are unique, and what is gone is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.client import JOBS, PODS, Conflict, Resource
from release_pipelines.adapters.remote_builders._job import Settings
from release_pipelines.adapters.remote_builders.kubernetes_job import KubernetesJob
from release_pipelines.core.errors import PlatformError
from tests.adapters.remote_builders.test_job import NEW, OLD, order, pod


class Api:
    """As much of the client as builds need."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.logs = "step 1\nstep 2\n"

    async def create(self, resource: Resource, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        name = body["metadata"]["name"]
        if (namespace, name) in self.kept:
            raise Conflict(f"jobs.batch {name} already exists")
        made = {**body, "metadata": {**body["metadata"], "uid": f"u{len(self.kept)}"}, "status": {}}
        self.kept[namespace, name] = made
        return made

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        assert resource is JOBS
        return self.kept.get((namespace, name))

    async def find(self, resource: Resource, namespace: str, labels: str = "") -> list[dict[str, Any]]:
        assert resource is PODS
        job = self.kept[namespace, labels.removeprefix("job-name=")]
        return list(job.get("pods") or [])

    async def delete(self, resource: Resource, namespace: str, name: str) -> bool:
        return self.kept.pop((namespace, name), None) is not None

    async def log(self, namespace: str, pod: str, container: str, lines: int) -> str:
        return self.logs

    def end(self, condition: str, *pods: dict[str, Any]) -> None:
        [job] = self.kept.values()
        job["status"] = {"conditions": [{"type": condition, "status": "True", "reason": "BackoffLimitExceeded"}]}
        job["pods"] = pods


def builder(api: Api) -> Any:
    return KubernetesJob(api, Settings(image="builder", namespace="builds"))  # type: ignore[arg-type]


def test_a_build_is_one_job_however_often_its_start_is_asked_for() -> None:
    api = Api()
    names = {asyncio.run(builder(api).start(order())) for _ in range(2)}
    assert len(names) == len(api.kept) == 1
    [name] = names
    assert asyncio.run(builder(api).look(name)).ended is False
    api.end("Complete", pod(1, OLD, uid="u0"), pod(0, NEW, uid="u0"))
    now = asyncio.run(builder(api).look(name))
    assert (now.ended, now.digest) == (True, NEW)


def test_a_job_that_failed_shows_the_end_of_its_log() -> None:
    api = Api()
    name = asyncio.run(builder(api).start(order()))
    api.end("Failed", pod(2, OLD, uid="u0"))
    with pytest.raises(PlatformError) as caught:
        asyncio.run(builder(api).look(name))
    assert str(caught.value).endswith("The last lines of its log:\nstep 1\nstep 2")


def test_a_job_that_is_gone_is_no_success() -> None:
    api = Api()
    name = asyncio.run(builder(api).start(order()))
    asyncio.run(builder(api).stop(name))
    with pytest.raises(PlatformError, match="is gone: whether it succeeded is not known"):
        asyncio.run(builder(api).look(name))
    asyncio.run(builder(api).stop(name))  # once more is no harm


def test_of_a_job_of_tests_nothing_but_its_end_is_asked() -> None:
    api = Api()
    name = asyncio.run(builder(api).start(order(tag=None)))
    api.end("Complete", pod(0, "", uid="u0"))
    now = asyncio.run(builder(api).look(name))
    assert (now.ended, now.digest) == (True, None)
