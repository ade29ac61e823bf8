"""A canary on a real cluster, with people who use the app all the time: not one of their requests is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.kubernetes.data_planes import RouterKind
from tests.kubernetes.release import Release
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.world import World, all_of

STEPS: dict[RouterKind, list[dict[str, Any]]] = {
    "gateway_api": [{"weight": 20, "hold": 4}, {"weight": 50, "hold": 6}],
    "replicas": [{"weight": 25, "hold": 6}, {"weight": 50, "hold": 6}],
    "istio": [{"weight": 20, "hold": 2}, {"weight": 50, "hold": 2}],
}
REPLICAS: dict[RouterKind, int] = {"gateway_api": 2, "replicas": 3, "istio": 1}
WITH_TRAFFIC = pytest.mark.parametrize("router", ["gateway_api", "replicas"])
BLIND = {"on_inconclusive": "continue", "patience": 0.1, "interval": 1}
"""How a step is judged whose requests nobody counts."""


def canary(world: World, steps: list[dict[str, Any]] | None = None, analysis: Any = None) -> Any:
    """The spec of a canary."""
    strategy = {"canary": {"bake": 6, "retire_after": 1, "steps": steps or STEPS[world.router]}}
    return world.spec(strategy, analysis, replicas=REPLICAS[world.router])


def blind(world: World, step: dict[str, Any]) -> dict[str, Any]:
    """The step, judged by nothing."""
    metrics = [it.model_dump() for it in canary(world).analysis.metrics]
    return {**step, "analysis": {**BLIND, "metrics": metrics}}


@side_by_side
async def test_a_good_canary_is_shown_to_testers_then_to_some_then_to_all(world: World) -> None:  # R5, R18
    await world.first(canary(world), world.artifact("1.0.0"))
    testers_first = blind(world, {"match": {"header": "X-Tester", "value": "yes"}, "hold": "10m"})
    release = Release(world, canary(world, [testers_first, *STEPS["gateway_api"]]), world.artifact("1.1.0"))

    async def testers() -> None:
        await world.held("testers_1")
        await world.serves("1.1.0", {"X-Tester": "yes"})
        assert (await world.answers()).keys() == {"1.0.0"}
        assert (await world.answers({"X-Tester": "no"})).keys() == {"1.0.0"}
        await release.told("skip", reason="we have seen it")

    async def weighed() -> None:
        observed = await world.held("step_50")
        assert (observed.weight("stable"), observed.weight("canary")) == (50, 50)
        assert observed.track("canary").ready == 1

    async with world.visitors() as visits:
        ending, *_ = await all_of(release.run(), testers(), weighed())
        await world.serves("1.1.0")
    assert ending.outcome == "released", ending.sentence
    assert [it.step for it in ending.verdicts] == ["testers_1", "step_20", "step_50", "bake"]
    assert ending.verdicts[0].sentence.startswith('carol ("we have seen it") ended the hold early')
    assert re.match(r"error rate 0 % over [\d,]+ requests, limit 1 % \(stable: 0 %\)", ending.verdicts[1].sentence)
    assert visits.lost == []
    assert visits.versions.keys() == {"1.0.0", "1.1.0"}
    await world.clean()


@side_by_side
async def test_without_a_mesh_a_canary_gets_its_share_by_numbers_of_pods(world: World) -> None:  # R5, R18
    await world.adopt("replicas", 3)
    release = Release(world, canary(world), world.artifact("1.1.0"))

    async def counted() -> None:
        for step, weight, pods in (("step_25", 25, 1), ("step_50", 50, 3), ("bake", 100, 3)):
            observed = await world.held(step)
            assert (observed.weight("canary"), observed.track("canary").ready) == (weight, pods)
            assert observed.track("stable").ready == 3

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), counted())
        await world.serves("1.1.0")
    assert ending.outcome == "released", ending.sentence
    assert re.match(r"errors 0 % over \d+ events, limit 1 % \(stable: 0 %\)", ending.verdicts[0].sentence)
    assert visits.lost == []
    await world.clean()


@WITH_TRAFFIC
@side_by_side
async def test_a_canary_with_errors_goes_back_and_says_with_which_numbers(
    world: World, router: RouterKind
) -> None:  # R3, R4, R8, R13
    await world.adopt(router, REPLICAS[router])
    weight = STEPS[router][0]["weight"]
    spec = canary(world, [{"weight": weight, "hold": "10m"}])
    async with world.visitors() as visits:
        ending = await Release(world, spec, world.artifact("1.1.0", "errors")).run()
    assert ending.outcome == "rolled_back"
    name, events = ("error rate", "requests") if router == "gateway_api" else ("errors", "events")
    assert re.fullmatch(
        rf"Rolled back 1\.1\.0 at {weight} %: {name} [\d.]+ % over [\d,]+ {events}, limit 1 %( \(stable: 0 %\))?, "
        r"surely (above the limit|more than 1\.5 times stable's), traffic is back on 1\.0\.0\.",
        ending.sentence,
    ), ending.sentence
    assert ending.plan
    assert ending.plan.kind == "return_traffic"
    assert visits.lost == []
    await world.clean()


@pytest.mark.parametrize(
    ("router", "mode", "said"),
    [
        ("gateway_api", "crash", r"keeps ending: exit code 3.*Last log lines: .*KeyError: 'price'"),
        ("gateway_api", "garbled", r"keeps ending: exit code 3.*Last log lines: .*Kunde M\ufffdller nicht gefunden"),
        ("replicas", "gone", r"its image cannot be pulled: .*not found"),
    ],
    ids=["crash", "garbled", "gone"],
)
@side_by_side
async def test_a_canary_that_cannot_start_gets_no_request(
    world: World, router: RouterKind, mode: str, said: str
) -> None:  # R7
    await world.adopt(router, REPLICAS[router])
    async with world.visitors() as visits:
        ending = await Release(world, canary(world), world.broken(mode)).run()
    assert ending.outcome == "rolled_back"
    assert re.fullmatch(
        rf"Rolled back 1\.1\.0: 1\.1\.0 did not become ready: .*{said}.*, traffic is back on 1\.0\.0\.", ending.sentence
    ), ending.sentence
    assert (visits.lost, visits.versions.keys()) == ([], {"1.0.0"})
    await world.clean()


@WITH_TRAFFIC
@side_by_side
async def test_a_person_who_aborts_a_step_has_the_traffic_back(world: World, router: RouterKind) -> None:  # R4
    await world.adopt(router, REPLICAS[router])
    slow = [{"weight": STEPS[router][0]["weight"], "hold": "10m"}]
    release = Release(world, canary(world, slow), world.artifact("1.1.0"))

    async def abort() -> None:
        await world.held(f"step_{slow[0]['weight']}")
        await release.told("abort")

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), abort())
    assert (ending.outcome, await release.effects()) == ("aborted", ["All traffic is back on stable."])
    assert ending.sentence == (
        f"Aborted 1.1.0 at {slow[0]['weight']} %: carol: it looks odd; traffic is back on 1.0.0."
    )
    assert visits.lost == []
    await world.clean()


@WITH_TRAFFIC
@side_by_side
async def test_a_person_who_aborts_the_promotion_gets_the_old_version_by_a_rolling_update(
    world: World, router: RouterKind
) -> None:  # R8, R18
    await world.adopt(router, REPLICAS[router])
    new = world.artifact("1.1.0")
    release = Release(world, canary(world), new)

    async def abort() -> None:
        await world.until(lambda observed: observed.track("stable").digest == new.digest)
        await release.told("abort")

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), abort())
        await world.serves("1.0.0")
    assert (ending.outcome, await release.effects()) == ("aborted", ["1.0.0 is being put back on stable."])
    assert ending.sentence == "Aborted 1.1.0: carol: it looks odd; traffic is back on 1.0.0."
    assert visits.lost == []
    await world.clean()


@side_by_side
async def test_a_canary_is_compared_with_a_fresh_baseline_of_its_own_size(world: World) -> None:
    await world.adopt("gateway_api", 2)
    old = (await world.platform.observe(world.target())).track("stable").digest
    judged = {"judge": "kayenta", "kayenta": {"baseline": "fresh", "min_points": 5}}
    spec = canary(world, [{"weight": 30, "hold": 8}], judged)
    release = Release(world, spec, world.artifact("1.1.0"))

    async def beside() -> None:
        observed = await world.held("step_30")
        assert observed.route
        assert observed.route.traffic.weights == {"stable": 40, "canary": 30, "baseline": 30}
        assert observed.track("baseline").digest == old
        assert observed.track("baseline").ready == observed.track("canary").ready == 1
        assert (await world.held("bake")).route.traffic.weights == {"canary": 100}  # type: ignore[union-attr]

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), beside())
    assert ending.outcome == "released", ending.sentence
    assert visits.lost == []
    await world.clean()


@pytest.mark.parametrize(
    "step", [{"mirror": 100}, {"match": {"cookie": "tester", "value": "yes"}}], ids=["mirror", "cookie"]
)
@side_by_side
async def test_what_a_gateway_is_not_known_to_do_is_refused_while_everybody_is_served(
    world: World, step: dict[str, Any]
) -> None:
    await world.adopt("gateway_api", 2)
    first = blind(world, {**step, "hold": 2})
    async with world.visitors() as visits:
        ending = await Release(world, canary(world, [first, *STEPS["gateway_api"]]), world.artifact("1.1.0")).run()
        await world.serves("1.0.0")
    assert ending.outcome == "rolled_back"
    key = "mirror" if "mirror" in step else "cookie"
    assert f"The controller of HTTPRoute web is not known to support `{key}`" in ending.sentence
    assert f"annotate the route with release-pipelines/supports={key}" in ending.sentence
    assert (visits.lost, visits.versions.keys()) == ([], {"1.0.0"})
    await world.clean()


@side_by_side
async def test_a_virtual_service_is_right_in_every_stage(world: World) -> None:  # R5
    await world.adopt("istio", 1)
    before = await world.get("virtualservice", "web")
    steps = [
        {"match": {"header": "X-Tester", "value": "yes"}, "hold": 2},
        {"mirror": 30, "hold": 2},
        *STEPS["istio"],
    ]
    release = Release(world, canary(world, steps), world.artifact("1.1.0"))

    async def looked() -> None:
        await world.held("testers_1")
        own, rest = await http(world)
        assert own["match"] == [{"headers": {"x-tester": {"exact": "yes"}}}]
        assert (weights(own), weights(rest)) == ({"web-canary": 100}, {"web": 100})
        await world.held("mirror_2")
        (rule,) = await http(world)
        assert (rule["mirror"]["host"], rule["mirrorPercentage"]) == ("web-canary", {"value": 30})
        assert weights(rule) == {"web": 100}
        for step, weight in (("step_20", 20), ("step_50", 50), ("bake", 100)):
            await world.held(step)
            (rule,) = await http(world)
            assert "mirror" not in rule
            assert {track: it for track, it in weights(rule).items() if it} == {
                track: it for track, it in {"web": 100 - weight, "web-canary": weight}.items() if it
            }

    ending, _ = await all_of(release.run(), looked())
    assert ending.outcome == "released", ending.sentence
    assert (await world.get("virtualservice", "web"))["spec"] == before["spec"]
    await world.clean()


@side_by_side
async def test_a_virtual_service_is_as_before_when_a_person_has_aborted(world: World) -> None:  # R4
    await world.adopt("istio", 1)
    before = await world.get("virtualservice", "web")
    release = Release(world, canary(world, [{"weight": 20, "hold": "10m"}]), world.artifact("1.1.0"))

    async def abort() -> None:
        await world.held("step_20")
        await release.told("abort")

    ending, _ = await all_of(release.run(), abort())
    assert ending.outcome == "aborted"
    assert (await world.get("virtualservice", "web"))["spec"] == before["spec"]
    await world.clean()


async def http(world: World) -> list[dict[str, Any]]:
    """The rules of the VirtualService."""
    found: list[dict[str, Any]] = (await world.get("virtualservice", "web"))["spec"]["http"]
    return found


def weights(rule: dict[str, Any]) -> dict[str, int]:
    """Service to weight."""
    return {it["destination"]["host"]: it["weight"] for it in rule["route"]}
