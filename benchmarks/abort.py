"""From the failing answer to weight 0: real triggers and platforms, a metrics service that turns bad, real requests."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.places import APP, PLACES, Place, history, requests_to, side_by_side
from benchmarks.table import Skip, load, table
from benchmarks.triggerer import close_sessions

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform
    from release_pipelines.features.stage.triggers import StageTrigger
    from tests.fakes import FakePrometheus

RUNS = 20
WEIGHT = 50


def step(place: Place, fence: int, number: int) -> StageTrigger:
    """A long step, judged as apps are by default; its counts come by own PromQL, which every router has."""
    from release_pipelines.core.model.base import to_json
    from release_pipelines.core.model.stage import Stage
    from release_pipelines.core.model.traffic import share_with
    from release_pipelines.features.stage.triggers import StageTrigger

    counts = {name: f'{kind}_total{{track="{{{{ track }}}}"}}' for name, kind in (("bad", "bad"), ("total", "all"))}
    analysis = {"interval": 0.5, "metrics": [{"name": "errors", "limit": "1%", **counts}]}
    given = {"name": "step", "track": "canary", "traffic": share_with("canary", WEIGHT), "hold": "10m"}
    return StageTrigger(
        target=to_json(place.target),
        release=f"{APP}_{number}",  # of its own, so that no evidence is carried over
        artifact=to_json(place.new),
        fence=fence,
        stage=to_json(Stage.model_validate({**given, "analysis": analysis})),
        replicas=1,
        previous=to_json(place.good),
    )


async def abort(
    platform: Platform, place: Place, metrics: FakePrometheus, fence: int, number: int
) -> tuple[float, float | None]:
    """One canary that turns bad. Milliseconds from the first failing answer to weight 0 accepted, and in effect."""
    from release_pipelines.core.model.verdict import Verdict

    trigger, failing, measured = step(place, fence, number), list[float](), asyncio.Event()

    def answered(query: str) -> None:
        if query.startswith("bad") and metrics.is_new(query):
            measured.set()
            if metrics.bad:
                failing.append(time.time())

    metrics.bad, metrics.answered = 0.0, answered
    async with requests_to(place) as seen:
        watch = asyncio.create_task(trigger.watch(platform))
        try:
            async with asyncio.timeout(60):
                while not (measured.is_set() and (not place.answers or place.new.version in seen.sent)):
                    if watch.done():
                        raise Skip(f"{place.name}: the trigger ended early: {watch.result()}")
                    await asyncio.sleep(0.05)
                metrics.bad = 0.5
                verdict = Verdict.model_validate((await watch)["verdict"])
                await asyncio.sleep(1.5 if place.answers else 0)  # a request that still reaches the canary is seen
        except TimeoutError:
            raise Skip(f"{place.name}: run {number} did not end within 60 s") from None
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
    if verdict.judgement != "fail" or verdict.accepted_at is None or not failing:
        raise Skip(f"{place.name}: {verdict.sentence}")
    last = seen.last(place.new.version, failing[0]) if place.answers else None
    return 1000 * (verdict.accepted_at - failing[0]), last and 1000 * (last - failing[0])


async def measure(place: Place) -> list[list[str]]:
    """All runs at one place, as rows of the table."""
    from tests.fakes import FakePrometheus

    accepted, effect = [], []
    async with FakePrometheus() as metrics, side_by_side(place, "canary") as (platform, fence):
        os.environ["AIRFLOW_CONN_BENCHMARK_PROMETHEUS"] = json.dumps({"conn_type": "prometheus", "host": metrics.url})
        try:
            for number in range(RUNS):
                first, last = await abort(platform, place, metrics, fence, number)
                accepted.append(first)
                effect += [] if last is None else [last]
        finally:
            await close_sessions()
    rows = [(f"{place.name}: weight 0 accepted", accepted), (f"{place.name}: last request sent to the canary", effect)]
    return [[name, f"{statistics.median(times):.0f}", f"{max(times):.0f}", "< 1000"] for name, times in rows if times]


def main() -> None:
    """Print the table."""
    rows, why = [], []
    for opened in PLACES:
        try:
            with history(), opened() as place:
                rows += asyncio.run(measure(place))
        except Skip as reason:
            why.append(str(reason))
    if rows:
        table(f"From the first failing answer, milliseconds ({RUNS} runs)", ["", "median", "most", "target"], rows)
        load()
    for sentence in dict.fromkeys(why):
        print(f"  did not run: {sentence}")
