"""Blue-green releases by the real DAG, under real requests: a preview of its own, and all traffic at once."""

from __future__ import annotations

import re
from typing import Any

import pytest

from release_pipelines.core.model.observation import Observed
from tests.container_host.shops import CRASHES, ERRORS, HOLD, NEW, OLD, SLOW, Shop, until, without_image
from tests.container_host.side_by_side import scenario


def blue_green(bake: str = HOLD, **more: Any) -> dict[str, Any]:
    """Blue-green with short times."""
    return {"blue_green": {"bake": bake, "retire_after": "1s", **more}}


@scenario
async def test_a_preview_is_met_at_its_own_address_and_then_gets_all_traffic_at_once(shop: Shop) -> None:  # R5, R18
    shop.written(blue_green(), replicas=2)
    await shop.serving()
    run = shop.run(NEW)
    release = await shop.released_until(run, lambda observed: observed.track("preview").wanted > 0)
    await shop.told(run, "pause")  # before it has any traffic: somebody wants to look at it

    async def met() -> bool:
        return (await shop.at_another_address(f"preview.{shop.visitors.host}")).version == NEW

    await until(met)
    assert shop.moves("preview") == []
    assert (await shop.observe()).weight("preview") == 0
    await shop.told(run, "resume")
    done = await release
    assert (done.outcome, done.sentence) == (
        "released",
        f"Released {NEW}: it serves all traffic in production and held.",
    )
    assert shop.moves("preview") == [100, 0]
    switch = shop.first("preview")
    assert set(shop.visitors.versions(before=switch.asked_at)) == {OLD}
    switched = min(it.answered_at for it in shop.visitors.answers if it.who == "visitor" and it.version == NEW)
    assert set(shop.visitors.versions(since=switched)) == {NEW}
    await shop.at_rest(NEW, replicas=2)
    assert (await shop.at_another_address(f"preview.{shop.visitors.host}")).text.startswith("status 404")


@scenario
async def test_a_version_with_errors_is_switched_back_to_what_never_stopped(shop: Shop) -> None:  # R4, R8, R13
    shop.written(blue_green("60s"), replicas=2)
    await shop.serving()
    before = {it.id for it in await shop.containers()}
    done = await shop.release(ERRORS)
    assert done.outcome == "rolled_back"
    assert re.fullmatch(
        rf"Rolled back {ERRORS} at 100 %: error rate [\d.]+ % over [\d,]+ requests, limit 1 %( \(stable: 0 %\))?, "
        rf"surely [^,;]*, traffic is back on {OLD}\.",
        done.sentence,
    ), done.sentence
    assert shop.moves("preview") == [100, 0]
    assert {it.id for it in await shop.containers()} == before
    await shop.at_rest(OLD, replicas=2)


@scenario
async def test_a_slow_version_is_switched_back(shop: Shop) -> None:  # R4, R13
    shop.written(blue_green("60s"))
    await shop.serving()
    done = await shop.release(SLOW)
    assert done.outcome == "rolled_back"
    assert re.match(
        rf"Rolled back {SLOW} at 100 %: share of requests over 0.5 s [\d.]+ % over \d+ requests, limit 40 %",
        done.sentence,
    ), done.sentence
    assert shop.moves("preview") == [100, 0]
    await shop.at_rest(OLD)


@scenario
@pytest.mark.parametrize("fault", ["crashes", "no image"])
async def test_a_preview_that_cannot_run_never_gets_the_traffic(shop: Shop, fault: str) -> None:  # R5, R7
    shop.written(blue_green())
    await shop.serving()
    run = shop.run(CRASHES) if fault == "crashes" else without_image(shop)
    done = await run.release()
    assert done.outcome == "rolled_back"
    assert ("the database password is missing" if fault == "crashes" else "the registry has no image") in done.sentence
    assert done.sentence.endswith(f", traffic is back on {OLD}.")
    assert shop.moves("preview") == []
    assert set(shop.visitors.versions()) == {OLD}
    await shop.at_rest(OLD)


@scenario
async def test_a_person_aborts_a_bake_and_the_old_version_takes_over_at_once(shop: Shop) -> None:  # R4, R10
    shop.written(blue_green("60s"))
    await shop.serving()
    before = {it.id for it in await shop.containers()}
    done = await shop.aborted(shop.run(NEW), shop.holds("bake"))
    assert (done.outcome, done.sentence) == (
        "aborted",
        f"Aborted {NEW} at 100 %: bob: wrong price list; traffic is back on {OLD}.",
    )
    assert done.effects() == {"abort": "All traffic is back on stable."}
    assert shop.moves("preview") == [100, 0]
    assert {it.id for it in await shop.containers()} == before
    await shop.at_rest(OLD)


@scenario
async def test_an_old_version_that_is_being_replaced_is_deployed_again(shop: Shop) -> None:  # R8, R18
    shop.written(blue_green(), env={"GREETING": "hello"})
    await shop.serving()
    shop.written(blue_green(), env={"GREETING": "bye"})

    def replaced(observed: Observed) -> bool:
        return observed.track("stable").version == NEW and observed.track("stable").updated > 0

    done = await shop.aborted(shop.run(NEW), replaced)
    assert done.outcome == "aborted", done.sentence
    assert done.sentence.endswith(f"bob: wrong price list; traffic is back on {OLD}.")
    assert done.effects() == {"abort": f"{OLD} is being put back on stable."}
    await shop.at_rest(OLD)
    assert (await shop.asked("visitor")).text == f"{OLD} hello"


@scenario
async def test_a_person_goes_back_to_a_version_that_does_not_run_any_more(shop: Shop) -> None:  # R8
    shop.written(blue_green(), env={"GREETING": "hello"})
    await shop.serving()
    shop.written(blue_green(), env={"GREETING": "bye"})
    assert (await shop.release(NEW)).outcome == "released"
    assert (await shop.asked("visitor")).text == f"{NEW} bye"
    back = await shop.roll_back("the new prices are wrong")
    assert (back.outcome, back.sentence) == (
        "rolled_back",
        f"Rolled back {NEW}: carol: the new prices are wrong, traffic is back on {OLD}.",
    )
    await shop.at_rest(OLD)
    assert (await shop.asked("visitor")).text == f"{OLD} hello"
