"""Two versions, back and forth: nothing is left behind, and nobody notices."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.kubernetes.conftest import kubectl
from tests.kubernetes.release import Release
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.world import RouterKind, World

SHORT = {"bake": 1, "retire_after": 1}
BY_REQUESTS: list[dict[str, Any]] = [
    {"canary": {**SHORT, "steps": [{"weight": 50, "hold": 1}]}},
    {"blue_green": SHORT},
    {"rolling": {"batches": [50], "hold": 1, "bake": 1}},
    {"blue_green": {**SHORT, "switch": "selector"}},
]
BY_PODS: list[dict[str, Any]] = [
    {"canary": {**SHORT, "steps": [{"weight": 50, "hold": 1}]}},
    {"blue_green": {**SHORT, "switch": "selector"}},
    {"rolling": {"batches": [50], "hold": 1, "bake": 1}},
]
# Metrics of the proxy have no meaning for a switch by selector: all strategies here have one that is always there.
JUDGED = {"interval": 0.5, "metrics": [{"name": "queue", "query": "vector(0)", "limit": 1}]}


@pytest.mark.parametrize(
    ("router", "strategies", "releases"),
    [("gateway_api", BY_REQUESTS, 12), ("replicas", BY_PODS, 10)],
    ids=["gateway_api", "replicas"],
)
@side_by_side(long=True)
async def test_many_releases_back_and_forth_leave_nothing_behind(
    world: World, router: RouterKind, strategies: list[dict[str, Any]], releases: int
) -> None:
    await world.adopt(router, 2)
    versions = [world.artifact("1.0.0"), world.artifact("1.1.0")]
    sizes = []
    async with world.visitors() as visits:
        for number in range(1, releases + 1):
            # Every strategy has each version in turn.
            strategy = strategies[(number + number // 4) % len(strategies)]
            ending = await Release(world, world.spec(strategy, JUDGED), versions[number % 2]).run()
            assert ending.outcome == "released", f"{number}: {ending.sentence}"
            await world.clean()
            sizes.append(await size(world))
    assert visits.lost == []
    assert visits.versions.keys() == {"1.0.0", "1.1.0"}
    await world.serves("1.0.0")
    assert max(sizes[releases // 2 :]) <= max(sizes[: releases // 2]) + 64, sizes  # a number in a name may get longer
    assert len(await names(world, "pods", lambda it: "deletionTimestamp" not in it["metadata"])) == 2
    # Kubernetes keeps old ReplicaSets for the way back: one for each version and its configuration.
    assert len(await names(world, "replicasets")) <= 3


async def size(world: World) -> int:
    """Characters of all annotations and labels of what stands."""
    items = await found(world, "deployments,services,httproutes,leases,secrets")
    return sum(len(json.dumps([it["metadata"].get("annotations"), it["metadata"].get("labels")])) for it in items)


async def names(world: World, kind: str, which: Any = lambda it: True) -> list[str]:
    """Names of all objects of a kind."""
    return [it["metadata"]["name"] for it in await found(world, kind) if which(it)]


async def found(world: World, kinds: str) -> list[dict[str, Any]]:
    """All objects of the kinds."""
    text = await asyncio.to_thread(kubectl, "get", kinds, "-n", world.namespace, "-o", "json")
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return items
