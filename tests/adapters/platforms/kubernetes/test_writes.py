"""A holder that is overtaken between its look at the lease and its write changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from release_pipelines.adapters.kubernetes.client import DEPLOYMENTS, SERVICES, Conflict, Object, Resource
from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from release_pipelines.core.errors import FenceLost
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_ownership import NEW, OLD, ROUTES, deployment, route, service, target

Write = Callable[[Kubernetes, Target, int], Awaitable[Any]]


class Overtaken(MemoryClient):
    """Right before the next write something happens."""

    meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def _happens(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            await meanwhile()

    async def create(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        await self._happens()
        return await super().create(resource, namespace, body)

    async def patch(self, resource: Resource, namespace: str, name: str, body: Object, *rest: Any) -> Object:
        await self._happens()
        return await super().patch(resource, namespace, name, body, *rest)

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        await self._happens()
        return await super().replace(resource, namespace, name, body)

    async def delete(self, resource: Resource, namespace: str, name: str, *, found: Object | None = None) -> bool:
        await self._happens()
        return await super().delete(resource, namespace, name, found=found)


def shop() -> Overtaken:
    """A team's shop, as it stands."""
    client = Overtaken(gateway__networking__k8s__io=["v1"])
    client.add(DEPLOYMENTS, deployment("shop"))
    client.add(SERVICES, service("shop", "shop"))
    client.add(ROUTES, route("shop", "shop"))
    return client


WRITES: dict[str, Write] = {
    "stable is given another version": lambda it, app, fence: it.deploy(app, "stable", NEW, None, fence),
    "stable is scaled": lambda it, app, fence: it.deploy(app, "stable", OLD, 5, fence),
    "stable is stopped at its share": lambda it, app, fence: it.advance(app, "stable", fence),
    "the canary is given another version": lambda it, app, fence: it.deploy(app, "canary", OLD, 1, fence),
    "the canary is scaled": lambda it, app, fence: it.deploy(app, "canary", NEW, 3, fence),
    "the canary is removed": lambda it, app, fence: it.retire(app, "canary", fence),
    "a baseline is made": lambda it, app, fence: it.deploy(app, "baseline", OLD, 1, fence),
    "traffic is split": lambda it, app, fence: it.split(app, share_with("canary", 50), RouteNote(), fence),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
async def test_who_is_overtaken_before_its_write_changes_nothing(write: Write) -> None:  # R2
    client, app = shop(), target()
    one, two = kubernetes(client), kubernetes(client)
    fence = (await one.take_lease(app, "one", 60)).fence
    await one.deploy(app, "canary", NEW, 1, fence)
    await one.split(app, ALL_TO_STABLE, RouteNote(), fence)
    if write is WRITES["stable is stopped at its share"]:
        await one.deploy(app, "stable", NEW, None, fence, share=50)
        client.objects["deployments", "shop"]["status"]["observedGeneration"] = 1
    found: dict[Any, Any] = {}

    async def overtake() -> None:
        await two.take_lease(app, "two", 60, force=True)
        found.update(client.objects)

    client.meanwhile = overtake
    if write is WRITES["stable is stopped at its share"]:
        await write(one, app, fence)  # its look is in vain, the next one tells
    with pytest.raises(FenceLost):
        await write(one, app, fence)
    assert found
    assert client.objects == found


async def test_what_a_new_holder_has_taken_up_is_not_removed_with_what_was_made_too_late() -> None:  # R2
    client, app = shop(), target()
    one, two = kubernetes(client), kubernetes(client)
    fence = (await one.take_lease(app, "one", 60)).fence

    async def overtake() -> None:
        newer = (await two.take_lease(app, "two", 60, force=True)).fence
        await two.deploy(app, "canary", OLD, 2, newer)

    client.meanwhile = overtake
    with pytest.raises((FenceLost, Conflict)):
        await one.deploy(app, "canary", NEW, 1, fence)
    assert (await two.observe(app)).track("canary").digest == OLD.digest
    assert ("services", "shop-canary") in client.objects
