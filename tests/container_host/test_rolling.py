"""Rolling releases by the real DAG, under real requests: batch by batch, and back to digest and configuration."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.container_host.shops import CRASHES, ERRORS, HOLD, NEW, OLD, SLOW, Shop, without_image
from tests.container_host.side_by_side import scenario


def rolling(*batches: int, hold: str = HOLD, bake: str = HOLD, **more: Any) -> dict[str, Any]:
    """A rolling release with short holds."""
    return {"rolling": {"batches": list(batches), "hold": hold, "bake": bake, "max_surge": 1, **more}}


@scenario
@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (0, 1)])
async def test_replicas_are_replaced_batch_by_batch(shop: Shop, surge: int, unavailable: int) -> None:  # R5
    # Long enough to be paused on a busy machine.
    shop.written(rolling(50, hold="10s", max_surge=surge, max_unavailable=unavailable), replicas=2)
    await shop.serving()
    run, seen = shop.run(NEW), []

    async def look() -> None:
        while True:
            seen.append(await shop.listed())
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    release = await shop.released_until(run, shop.holds("batch_50"))
    await shop.told(run, "pause")
    half = sorted(it.labels["release-pipelines.version"] for it in await shop.containers())
    await shop.told(run, "resume")
    done = await release
    looking.cancel()
    assert (done.outcome, done.sentence) == (
        "released",
        f"Released {NEW}: it serves all traffic in production and held.",
    )
    assert min(seen) >= 2 - unavailable
    assert max(seen) <= 2 + surge
    assert half == [OLD, NEW]
    await shop.at_rest(NEW, replicas=2)


@scenario
async def test_a_batch_with_errors_goes_back_to_digest_and_configuration(shop: Shop) -> None:  # R4, R8, R13
    shop.written(rolling(50), replicas=2, env={"GREETING": "hello"})
    await shop.serving()
    shop.written(rolling(50, hold="60s"), replicas=2, env={"GREETING": "bye"})
    done = await shop.release(ERRORS)
    assert done.outcome == "rolled_back"
    assert re.fullmatch(
        rf"Rolled back {ERRORS} at 50 %: error rate [\d.]+ % over \d+ requests, limit 1 %, "
        rf"surely above the limit, traffic is back on {OLD}\.",
        done.sentence,
    ), done.sentence
    await shop.at_rest(OLD, replicas=2)
    assert {(await shop.asked("visitor")).text for _ in range(6)} == {f"{OLD} hello"}


@scenario
async def test_a_slow_version_goes_back_in_its_bake(shop: Shop) -> None:  # R4, R8, R13
    shop.written(rolling(bake="60s"))
    await shop.serving()
    done = await shop.release(SLOW)
    assert done.outcome == "rolled_back"
    assert re.match(
        rf"Rolled back {SLOW} at 100 %: share of requests over 0.5 s [\d.]+ % over \d+ requests, limit 40 %",
        done.sentence,
    ), done.sentence
    await shop.at_rest(OLD)


@scenario
@pytest.mark.parametrize("fault", ["crashes", "no image"])
async def test_a_version_that_cannot_run_replaces_nothing(shop: Shop, fault: str) -> None:  # R5, R7, R8
    shop.written(rolling(50), replicas=2)
    await shop.serving()
    before = {it.id for it in await shop.containers()}
    run = shop.run(CRASHES) if fault == "crashes" else without_image(shop)
    done = await run.release()
    assert done.outcome == "rolled_back"
    assert ("the database password is missing" if fault == "crashes" else "the registry has no image") in done.sentence
    assert done.sentence.endswith(f", traffic is back on {OLD}.")
    assert set(shop.visitors.versions()) == {OLD}
    assert {it.id for it in await shop.containers()} == before
    await shop.at_rest(OLD, replicas=2)


@scenario
async def test_a_person_aborts_a_batch(shop: Shop) -> None:  # R4, R8, R10
    shop.written(rolling(50), replicas=2, env={"GREETING": "hello"})
    await shop.serving()
    shop.written(rolling(50, hold="60s"), replicas=2, env={"GREETING": "bye"})
    done = await shop.aborted(shop.run(NEW), shop.holds("batch_50"))
    assert (done.outcome, done.sentence) == (
        "aborted",
        f"Aborted {NEW} at 50 %: bob: wrong price list; traffic is back on {OLD}.",
    )
    assert done.effects() == {"abort": f"{OLD} is being put back on stable."}
    await shop.at_rest(OLD, replicas=2)
    assert {(await shop.asked("visitor")).text for _ in range(6)} == {f"{OLD} hello"}


@scenario
async def test_a_person_goes_back_after_a_rolling_release(shop: Shop) -> None:  # R8
    shop.written(rolling(), replicas=2, env={"GREETING": "hello"})
    await shop.serving()
    shop.written(rolling(), replicas=2, env={"GREETING": "bye"})
    assert (await shop.release(NEW)).outcome == "released"
    back = await shop.roll_back("the new prices are wrong", version=OLD)
    assert (back.outcome, back.sentence) == (
        "rolled_back",
        f"Rolled back {NEW}: carol: the new prices are wrong, traffic is back on {OLD}.",
    )
    await shop.at_rest(OLD, replicas=2)
    assert {(await shop.asked("visitor")).text for _ in range(6)} == {f"{OLD} hello"}
