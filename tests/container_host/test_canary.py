"""Canary releases by the real DAG, under real requests, judged by what the proxy says."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from release_pipelines.core.model.observation import Observed
from tests.container_host.shops import CRASHES, ERRORS, FRAIL, HOLD, MISSING, NEW, OLD, SLOW, Shop, without_image
from tests.container_host.side_by_side import scenario

RELEASED = f"Released {NEW}: it serves all traffic in production and held."
PATIENT = "60s"
"""A hold that something else ends."""


def canary(*steps: Any, hold: str = HOLD, **more: Any) -> dict[str, Any]:
    """A canary with short holds; steps are weights, or steps."""
    given = [{"weight": it, "hold": hold} if isinstance(it, int) else {"hold": hold, **it} for it in steps]
    return {"canary": {"steps": given, "bake": HOLD, "retire_after": "1s", **more}}


TESTERS = {
    "header": ({"header": "X-Tester", "value": "yes"}, {"x-tester": "yes"}),
    "cookie": ({"cookie": "tester", "value": "yes"}, {"Cookie": "theme=dark; tester=yes"}),
}


@scenario
@pytest.mark.parametrize("kind", TESTERS)
async def test_testers_meet_a_canary_before_anybody_else_does(shop: Shop, kind: str) -> None:  # R5, R18
    match, sent = TESTERS[kind]
    shop.written(canary({"match": match}, 20, 50))
    await shop.serving()
    run = shop.run(NEW)
    release = await shop.released_until(run, shop.holds("testers_1"))
    while shop.holds("testers_1")(await shop.observe()):
        await asyncio.gather(*(shop.asked("tester", headers=sent) for _ in range(4)))
    done = await release
    assert (done.outcome, done.sentence) == ("released", RELEASED)
    given = shop.first("canary").asked_at
    assert shop.visitors.versions("tester", before=given)[NEW] >= 20
    assert set(shop.visitors.versions(before=given)) == {OLD}
    assert run.verdict("production.testers_1")["metrics"][0]["measurements"]
    assert shop.moves("canary") == [20, 50, 100, 50, 0]
    await shop.at_rest(NEW)


@scenario
async def test_a_canary_of_fixed_size_gets_copies_first_and_then_keeps_its_clients(shop: Shop) -> None:  # R5
    # Long enough to be paused on a busy machine.
    shop.written(canary({"mirror": 50}, {"weight": 50, "hold": "10s"}, replicas=2, affinity=True))
    await shop.serving()
    run = shop.run(NEW)
    release = await shop.released_until(run, shop.holds("mirror_1"))
    assert (await shop.observe()).track("canary").ready == 2
    await shop.until(shop.holds("step_50"))
    await shop.told(run, "pause")
    clients = [await versions_of_one_client(shop) for _ in range(8)]
    assert shop.holds("step_50")(await shop.observe())
    await shop.told(run, "resume")
    assert all(len(set(it)) == 1 for it in clients), clients
    done = await release
    assert (done.outcome, done.sentence) == ("released", RELEASED)
    assert set(shop.visitors.versions(before=shop.first("canary").asked_at)) == {OLD}
    await shop.at_rest(NEW)


async def versions_of_one_client(shop: Shop) -> list[str | None]:
    """What somebody gets who keeps cookies, and opens a connection for each request."""
    jar, connector = aiohttp.CookieJar(unsafe=True), aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(cookie_jar=jar, connector=connector) as session:
        return [(await shop.visitors.ask(session, "client", {})).version for _ in range(6)]


KAYENTA = {
    "judge": "kayenta",
    "kayenta": {"baseline": "fresh", "min_points": 4},
    "metrics": [{"name": "errors", "source": "errors", "limit": "1%", "min_requests": 2}],
}


@scenario
@pytest.mark.parametrize(("version", "outcome"), [(NEW, "released"), (ERRORS, "rolled_back")])
async def test_kayentas_judge_compares_with_a_fresh_baseline(shop: Shop, version: str, outcome: str) -> None:
    # One measurement without an error among few, as chance has it, leaves the shift's interval at zero: more come.
    shop.written(canary(30, hold="6s" if outcome == "released" else PATIENT), analysis=KAYENTA)
    await shop.serving()
    release = await shop.released_until(run := shop.run(version), shop.holds("step_30"))
    observed = await shop.observe()
    assert {it: observed.weight(it) for it in ("stable", "canary", "baseline")} == {
        "stable": 40,
        "canary": 30,
        "baseline": 30,
    }
    assert (observed.track("baseline").version, observed.track("baseline").ready) == (OLD, 1)
    done = await release
    assert done.outcome == outcome, done.sentence
    if outcome == "rolled_back":
        assert done.sentence.startswith(f"Rolled back {version} at 30 %: ")
        assert re.search(r"error rate [\d.]+ %", done.sentence), done.sentence
        assert done.sentence.endswith(f", traffic is back on {OLD}.")
    assert run.verdict("production.step_30")["metrics"]
    await shop.at_rest(version if outcome == "released" else OLD)


@scenario
async def test_a_canary_with_errors_goes_back_and_says_how_many(shop: Shop) -> None:  # R4, R13
    shop.written(canary(20, 50, hold=PATIENT))
    await shop.serving()
    before = {it.id for it in await shop.containers()}
    done = await shop.release(ERRORS)
    assert done.outcome == "rolled_back"
    assert re.fullmatch(
        rf"Rolled back {ERRORS} at 20 %: error rate [\d.]+ % over \d+ requests, limit 1 % \(stable: 0 %\), "
        rf"surely (above the limit|more than 1.5 times stable's), traffic is back on {OLD}\.",
        done.sentence,
    ), done.sentence
    assert shop.moves("canary") == [20, 0]
    assert {it.id for it in await shop.containers()} == before
    await shop.at_rest(OLD)


@scenario
async def test_a_slow_canary_goes_back_and_says_how_slow(shop: Shop) -> None:  # R4, R13
    shop.written(canary(30, hold=PATIENT))
    await shop.serving()
    done = await shop.release(SLOW)
    assert done.outcome == "rolled_back"
    assert re.fullmatch(
        rf"Rolled back {SLOW} at 30 %: share of requests over 0.5 s [\d.]+ % over \d+ requests, limit 40 % "
        rf"\(stable: [\d.]+ %\), surely [^,;]*, traffic is back on {OLD}\.",
        done.sentence,
    ), done.sentence
    assert shop.moves("canary") == [30, 0]
    await shop.at_rest(OLD)


@scenario
async def test_a_canary_that_crashes_gets_no_request(shop: Shop) -> None:  # R5, R7
    shop.written(canary(20))
    await shop.serving()
    done = await shop.release(CRASHES)
    assert done.outcome == "rolled_back"
    assert done.sentence.startswith(
        f"Rolled back {CRASHES}: {CRASHES} did not become ready: A replica of {CRASHES} ended"
    )
    assert "exit code 1. Its last lines:" in done.sentence
    assert "the database password is missing" in done.sentence
    assert done.sentence.endswith(f", traffic is back on {OLD}.")
    assert set(shop.moves("canary")) <= {0}
    assert set(shop.visitors.versions()) == {OLD}
    await shop.at_rest(OLD)


@scenario
async def test_a_canary_without_an_image_goes_back_and_names_it(shop: Shop) -> None:  # R7
    shop.written(canary(20))
    await shop.serving()
    done = await without_image(shop).release()
    assert done.outcome == "rolled_back"
    assert f"the registry has no image {shop.stack.registry}/shop@{MISSING}" in done.sentence
    assert set(shop.visitors.versions()) == {OLD}
    await shop.at_rest(OLD)


@scenario
async def test_a_canary_that_dies_under_its_requests_loses_them_at_once(shop: Shop) -> None:  # R5
    shop.written(canary(20, hold=PATIENT))
    await shop.serving()
    done = await shop.release(FRAIL)
    assert done.outcome == "rolled_back"
    assert re.search(r"exit code 7|error rate|no replica of 2.4.0 is ready any more", done.sentence), done.sentence
    assert done.sentence.endswith(f", traffic is back on {OLD}.")
    assert shop.moves("canary") == [20, 0]
    back = next(it for it in reversed(shop.splits) if it.traffic.weight("canary") == 0 and it.step == "step_20")
    await shop.at_rest(OLD, whole_from=back.accepted_at + 5)  # the proxy of a busy machine hears of it a little later


@scenario
async def test_a_person_aborts_a_canary_in_mid_step(shop: Shop) -> None:  # R4, R10
    shop.written(canary(30, hold=PATIENT))
    await shop.serving()
    done = await shop.aborted(shop.run(NEW), shop.holds("step_30"))
    assert (done.outcome, done.sentence) == (
        "aborted",
        f"Aborted {NEW} at 30 %: bob: wrong price list; traffic is back on {OLD}.",
    )
    assert done.effects() == {"abort": "All traffic is back on stable."}
    assert shop.moves("canary") == [30, 0]
    await shop.at_rest(OLD)


@scenario
async def test_a_person_aborts_a_promotion_and_stable_gets_the_old_version_back(shop: Shop) -> None:  # R8, R18
    shop.written(canary(50))
    await shop.serving()

    def rolling(observed: Observed) -> bool:
        return observed.track("stable").version == NEW

    done = await shop.aborted(shop.run(NEW), rolling)
    assert done.outcome == "aborted", done.sentence
    assert done.sentence.startswith(f"Aborted {NEW} at 100 %: bob: wrong price list")
    assert done.sentence.endswith(f"traffic is back on {OLD}.")
    # The heartbeat may look when the promotion has stated the old version on stable again, but has not said so yet.
    assert done.effects()["abort"] in (f"{OLD} is being put back on stable.", "All traffic is back on stable.")
    await shop.at_rest(OLD)


@scenario
async def test_a_stable_that_cannot_take_the_version_leaves_it_on_the_canary_until_a_person_goes_back(
    shop: Shop,
) -> None:  # R8, R18
    shop.written(canary(50))
    await shop.serving()
    run = shop.run(NEW)
    promote = run.dag.get_task("production.promote")
    broken = promote.target.workload.model_copy(update={"env": {"FAULT": "crash"}})
    promote.target = promote.target.model_copy(update={"workload": broken})
    done = await run.release()
    assert done.outcome == "rollback_failed"
    assert "stays on the healthy canary, and a person has to decide" in done.sentence
    assert "the database password is missing" in done.sentence
    observed = await shop.observe()
    assert observed.weight("canary") == 100
    assert observed.lease is None
    back = await shop.roll_back("it cannot run on stable")
    assert (back.outcome, back.sentence) == (
        "rolled_back",
        f"Rolled back {NEW}: carol: it cannot run on stable, traffic is back on {OLD}.",
    )
    await shop.at_rest(OLD)
