"""Blue-green on a real cluster, by route and by the Service's selector: not one request is lost."""

from __future__ import annotations

import re
from typing import Any, Literal

import aiohttp
import pytest

from tests.kubernetes.release import Release, roll_back
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.world import World, all_of

Switch = Literal["route", "selector"]
BOTH = pytest.mark.parametrize("switch", ["route", "selector"])


def blue_green(world: World, **changed: Any) -> Any:
    """The spec of a blue-green release."""
    switch = "route" if world.router == "gateway_api" else "selector"
    return world.spec({"blue_green": {"switch": switch, "bake": 3, "retire_after": 2, **changed}})


async def begun(world: World, switch: Switch) -> None:
    """1.0.0 has all traffic."""
    await world.adopt("gateway_api" if switch == "route" else "replicas", 2)


async def preview_answers(world: World) -> str | None:
    """The version that answers at the preview's own address; kube-proxy takes a moment to know a new Service."""
    url, host = world.url, f"preview.{world.host}"
    if world.router == "replicas":
        url = f"http://{(await world.get('service', 'web-preview'))['spec']['clusterIP']}:8080"
    try:
        async with aiohttp.ClientSession() as session, session.get(url, headers={"Host": host}) as answer:
            return answer.headers.get("X-App-Version")
    except aiohttp.ClientConnectorError:
        return None


@BOTH
@side_by_side
async def test_a_good_version_is_seen_at_its_own_address_then_by_all_and_a_person_can_still_go_back(
    world: World, switch: Switch
) -> None:  # R8
    await begun(world, switch)
    old, new = world.artifact("1.0.0"), world.artifact("1.1.0")
    release = Release(world, blue_green(world, bake=6), new)  # long enough to be seen

    async def before() -> None:
        await world.soon(lambda: preview_answers(world), "1.1.0")
        assert (await world.answers()).keys() == {"1.0.0"}

    async def switched() -> None:
        observed = await world.held("bake")
        assert observed.weight("preview") == 100
        assert observed.track("preview").ready == observed.track("stable").ready == 2
        assert observed.track("stable").digest == old.digest
        await world.serves("1.1.0")

    release.before = before
    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), switched())
        assert ending.outcome == "released", ending.sentence
        await world.clean()
        plan = await roll_back(world, blue_green(world), old)
        assert (plan.kind, plan.version) == ("redeploy", "1.0.0")
        await world.serves("1.0.0")
    assert visits.lost == []
    assert visits.versions.keys() == {"1.0.0", "1.1.0"}
    await world.clean()


@BOTH
@side_by_side
async def test_a_version_with_errors_is_switched_back_at_once_and_says_with_which_numbers(
    world: World, switch: Switch
) -> None:  # R3, R4, R8, R13
    await begun(world, switch)
    async with world.visitors() as visits:
        ending = await Release(world, blue_green(world, bake="10m"), world.artifact("1.1.0", "errors")).run()
        await world.serves("1.0.0")
    assert ending.outcome == "rolled_back"
    name, events = ("error rate", "requests") if switch == "route" else ("errors", "events")
    assert re.fullmatch(
        rf"Rolled back 1\.1\.0 at 100 %: {name} [\d.]+ % over [\d,]+ {events}, limit 1 %( \(stable: 0 %\))?, "
        r"surely (above the limit|more than 1\.5 times stable's), traffic is back on 1\.0\.0\.",
        ending.sentence,
    ), ending.sentence
    assert ending.plan
    assert ending.plan.kind == "return_traffic"  # the old version was still there
    assert visits.lost == []
    await world.clean()


@pytest.mark.parametrize(
    ("switch", "mode", "said"),
    [
        ("selector", "crash", r"keeps ending: exit code 3.*Last log lines: .*KeyError: 'price'"),
        ("route", "gone", r"its image cannot be pulled: .*not found"),
    ],
    ids=["crash", "gone"],
)
@side_by_side
async def test_a_version_that_cannot_start_is_never_switched_to(
    world: World, switch: Switch, mode: str, said: str
) -> None:  # R7
    await begun(world, switch)
    async with world.visitors() as visits:
        ending = await Release(world, blue_green(world), world.broken(mode)).run()
    assert ending.outcome == "rolled_back"
    assert re.fullmatch(
        rf"Rolled back 1\.1\.0: 1\.1\.0 did not become ready: .*{said}.*, traffic is back on 1\.0\.0\.", ending.sentence
    ), ending.sentence
    assert (visits.lost, visits.versions.keys()) == ([], {"1.0.0"})
    await world.clean()


@BOTH
@side_by_side
async def test_a_person_who_aborts_the_bake_has_the_old_version_back_at_once(
    world: World, switch: Switch
) -> None:  # R4
    await begun(world, switch)
    release = Release(world, blue_green(world, bake="10m"), world.artifact("1.1.0"))

    async def abort() -> None:
        await world.held("bake")
        await world.serves("1.1.0")
        await release.told("abort")

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), abort())
    assert (ending.outcome, await release.effects()) == ("aborted", ["All traffic is back on stable."])
    assert ending.sentence == "Aborted 1.1.0 at 100 %: carol: it looks odd; traffic is back on 1.0.0."
    assert ending.plan
    assert ending.plan.kind == "return_traffic"
    assert visits.lost == []
    await world.clean()


@BOTH
@side_by_side
async def test_the_old_version_is_deployed_again_when_it_is_gone_already(
    world: World, switch: Switch
) -> None:  # R8, R18
    await begun(world, switch)
    new = world.artifact("1.1.0")
    release = Release(world, blue_green(world, retire_after=5), new)

    async def abort() -> None:
        await world.until(lambda it: it.track("stable").digest == new.digest and it.track("stable").updated == 2)
        await release.told("abort")

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), abort())
        await world.serves("1.0.0")
    assert (ending.outcome, await release.effects()) == ("aborted", ["1.0.0 is being put back on stable."])
    assert ending.plan
    assert ending.plan.kind == "redeploy"
    assert visits.lost == []
    await world.clean()
