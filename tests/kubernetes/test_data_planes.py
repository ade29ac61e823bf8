"""Real requests by other gateways than Traefik: Contour with Envoy, and Envoy as Istio leads it. Not one request is lost."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
import urllib.request
from typing import Any

from tests.kubernetes.data_planes import PLANES, planes
from tests.kubernetes.release import Release
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.world import World, all_of

STEPS: list[dict[str, Any]] = [{"weight": 20, "hold": 2}, {"weight": 50, "hold": 2}]
TESTER = {"X-Tester": "yes"}
BLIND = {"on_inconclusive": "continue", "patience": 0.1, "interval": 1}


def canary(world: World, steps: list[dict[str, Any]]) -> Any:
    """The spec of a canary; steps that are no weights are judged by nothing."""
    plain = world.spec({"rolling": {}}).analysis
    blind = {**BLIND, "metrics": [it.model_dump() for it in plain.metrics]}
    judged = [it if "weight" in it else {**it, "analysis": blind} for it in steps]
    return world.spec({"canary": {"bake": 2, "retire_after": 1, "return_hold": 1, "steps": judged}})


def answered_by(world: World, track: str) -> int:
    """Requests that the track has answered, as it counts itself."""
    query = f'sum(app_requests_total{{namespace="{world.namespace}",track="{track}"}})'
    with urllib.request.urlopen(
        f"{world.stack.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=10
    ) as answer:
        found = json.load(answer)["data"]["result"]
    return int(float(found[0]["value"][1])) if found else 0


@planes("contour", "istio")
@side_by_side
async def test_a_canary_is_for_testers_gets_copies_and_its_share_and_is_judged_by_what_the_gateway_counts(
    world: World, plane: str
) -> None:  # R5, R18
    await world.behind(PLANES[plane], 2)
    testers = {"match": {"header": "X-Tester", "value": "yes"}, "hold": "10m"}
    steps = [testers, {"mirror": 100, "hold": "10m"}, *STEPS]
    release = Release(world, canary(world, steps), world.artifact("1.1.0"))

    async def more_copies(than: int) -> bool:
        return await asyncio.to_thread(answered_by, world, "canary") > than

    async def seen() -> None:
        await world.held("testers_1")
        await world.serves("1.1.0", TESTER)
        assert (await world.answers()).keys() == {"1.0.0"}
        await release.told("skip", reason="we have seen it")
        await world.held("mirror_2")
        await world.serves("1.0.0", TESTER)
        before = await asyncio.to_thread(answered_by, world, "canary")
        await world.soon(lambda: more_copies(before + 10), True)
        assert (await world.answers()).keys() == {"1.0.0"}
        await release.told("skip", reason="it had enough")
        observed = await world.held("step_50")
        assert (observed.weight("stable"), observed.weight("canary")) == (50, 50)

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), seen())
        await world.serves("1.1.0")
    assert ending.outcome == "released", ending.sentence
    assert re.match(r"error rate 0 % over [\d,]+ requests, limit 1 %", ending.verdicts[2].sentence)
    assert visits.lost == []
    assert visits.versions.keys() == {"1.0.0", "1.1.0"}
    await world.clean()


@planes("contour", "istio")
@side_by_side
async def test_the_gateways_own_numbers_send_a_canary_with_errors_back(world: World, plane: str) -> None:  # R3, R4
    await world.behind(PLANES[plane], 2)
    spec = canary(world, [{"weight": 20, "hold": "10m"}])
    async with world.visitors() as visits:
        ending = await Release(world, spec, world.artifact("1.1.0", "errors")).run()
    assert ending.outcome == "rolled_back"
    assert re.match(r"Rolled back 1\.1\.0 at 20 %: error rate [\d.]+ % over [\d,]+ requests", ending.sentence)
    assert visits.lost == []
    await world.clean()


@planes("contour", "istio")
@side_by_side
async def test_a_person_who_aborts_gets_all_traffic_back(world: World, plane: str) -> None:  # R4
    await world.behind(PLANES[plane], 2)
    release = Release(world, canary(world, [{"weight": 50, "hold": "10m"}]), world.artifact("1.1.0"))

    async def abort() -> None:
        await world.held("step_50")
        await release.told("abort")

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), abort())
        await world.serves("1.0.0")
    assert (ending.outcome, await release.effects()) == ("aborted", ["All traffic is back on stable."])
    assert visits.lost == []
    await world.clean()


@planes("contour")
@side_by_side
async def test_a_blue_green_release_switches_all_traffic(world: World, plane: str) -> None:  # R18
    await world.behind(PLANES[plane], 2)
    spec = world.spec({"blue_green": {"bake": 2, "retire_after": 1}})
    async with world.visitors() as visits:
        ending = await Release(world, spec, world.artifact("1.1.0")).run()
        await world.serves("1.1.0")
    assert ending.outcome == "released", ending.sentence
    assert visits.lost == []
    assert visits.versions.keys() == {"1.0.0", "1.1.0"}
    await world.clean()
