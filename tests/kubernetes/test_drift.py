"""Somebody else works on what a release works on: a controller that puts the old image back, an autoscaler (R14, R16)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.kubernetes.conftest import kubectl
from tests.kubernetes.data_planes import METRICS_API, needs
from tests.kubernetes.release import Ending, Release
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.world import World, all_of


def canary(world: World, hold: Any = 2, **more: Any) -> Any:
    """A short canary."""
    steps = [{"weight": 50, "hold": hold}]
    strategy = {"canary": {"bake": 3, "retire_after": 1, "return_hold": 1, "steps": steps, **more}}
    return world.spec(strategy, replicas=2)


async def put_back(world: World, release: Release, times: int | None) -> int:
    """A GitOps controller: whenever the new image is wanted on stable, it puts the old one back; returns how often."""
    old = (await world.get("deployment", "web"))["spec"]["template"]["spec"]["containers"][0]["image"]
    wanted = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": old}]}}}}
    done = 0
    while times is None or done < times:
        observed = await world.platform.observe(world.target())
        if observed.track("stable").digest == release.artifact.digest:
            await world.patch("deployment", "web", wanted, manager="argocd-controller")
            done += 1
        await asyncio.sleep(0.2)
    return done


@side_by_side
async def test_an_old_image_that_is_put_back_in_a_promotion_is_replaced_again(world: World) -> None:  # R9, R14, R18
    await world.adopt("gateway_api", 2)
    release = Release(world, canary(world), world.artifact("1.1.0"))
    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), put_back(world, release, 1))
        await world.serves("1.1.0")
    assert ending.outcome == "released", ending.sentence
    assert visits.lost == []
    await world.clean()


@side_by_side
async def test_a_controller_that_always_puts_the_old_image_back_leaves_the_traffic_where_the_version_held(
    world: World,
) -> None:  # R9, R14, R18
    await world.adopt("gateway_api", 2)
    release = Release(world, canary(world), world.artifact("1.1.0"))
    async with world.visitors() as visits:
        gitops = asyncio.create_task(put_back(world, release, None))
        try:
            ending = await release.run()
            await world.serves("1.1.0")
        finally:
            gitops.cancel()
    assert ending.outcome == "rollback_failed"
    assert "argocd-controller put 1.0.0 on stable, where 1.1.0 was put" in ending.sentence
    assert "the traffic stays on the healthy canary, and a person has to decide" in ending.sentence
    assert visits.lost == []
    observed = await world.platform.observe(world.target())
    assert (observed.weight("canary"), observed.track("canary").ready) == (100, 2)


# --- autoscalers --------------------------------------------------------------------------------------------------

HPA: dict[str, Any] = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 4,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 900}},
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 3600}},
    },
}
"""At once it would take stable down to one replica, if it were not told to wait."""


async def hpas(world: World) -> dict[str, Any]:
    """The autoscalers of the namespace, by name."""
    text = await asyncio.to_thread(kubectl, "get", "hpa", "-n", world.namespace, "-o", "json")
    return {it["metadata"]["name"]: it for it in json.loads(text)["items"]}


@side_by_side
async def test_an_autoscaler_leaves_stable_as_large_as_it_was_and_has_its_minimum_back_after_an_abort(
    world: World,
) -> None:  # R5, R16
    await world.adopt("gateway_api", 3)
    await world.apply(HPA)
    spec = canary(world, hold=8, bake="10m")
    release = Release(world, spec, world.artifact("1.1.0"))

    async def abort() -> None:
        await world.held("step_50")
        assert {name: it["spec"]["minReplicas"] for name, it in (await hpas(world)).items()} == {
            "web": 3,
            "web-canary": 2,
        }
        observed = await world.held("bake")
        assert (observed.track("stable").ready, observed.track("canary").ready) == (3, 3)
        await release.told("abort")

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), abort())
        await world.serves("1.0.0")
    assert ending.outcome == "aborted", ending.sentence
    assert visits.lost == []
    found = await hpas(world)
    assert {name: it["spec"]["minReplicas"] for name, it in found.items()} == {"web": 1}
    assert not [it for it in found["web"]["metadata"].get("annotations") or {} if it.startswith("release-pipelines/")]
    await world.clean()


@needs(METRICS_API)
@side_by_side(long=True)
async def test_stable_is_as_large_as_its_load_had_made_it_when_an_abort_in_the_bake_comes(
    world: World,
) -> None:  # R4, R5, R16
    await world.adopt("gateway_api", 1)
    metric = {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "40m"}}
    eager = {it: {"stabilizationWindowSeconds": 0} for it in ("scaleUp", "scaleDown")}
    by_load = {"behavior": eager, "metrics": [{"type": "Resource", "resource": metric}]}
    await world.apply({**HPA, "spec": {**HPA["spec"], **by_load}})
    release = Release(world, canary(world, hold=8, bake="10m"), world.artifact("1.1.0"))
    over = asyncio.Event()

    async def run() -> Ending:
        try:
            return await release.run()
        finally:
            over.set()

    async def would_shrink() -> bool:
        conditions = (await hpas(world))["web"].get("status", {}).get("conditions") or []
        return any(it["type"] == "ScalingLimited" and it.get("reason") == "TooFewReplicas" for it in conditions)

    async def abort() -> None:
        await world.held("bake")
        await world.soon(would_shrink, True, within=240)  # all of its load is the canary's
        await release.told("abort")

    async def smallest() -> tuple[int, int]:
        await world.held("step_50")
        kept, sizes = (await hpas(world))["web"]["spec"]["minReplicas"], []
        while not over.is_set():
            sizes.append((await world.platform.observe(world.target())).track("stable").ready)
            await asyncio.sleep(0.5)
        return kept, min(sizes)

    async with world.visitors("/work") as visits:
        await world.until(lambda observed: observed.track("stable").ready > 1)
        ending, _, (kept, size) = await all_of(run(), abort(), smallest())
        await world.serves("1.0.0")
    assert ending.outcome == "aborted", ending.sentence
    assert visits.lost == []
    assert size >= kept > 1
    assert {name: it["spec"]["minReplicas"] for name, it in (await hpas(world)).items()} == {"web": 1}
    await world.clean()
