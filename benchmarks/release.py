"""How long a canary takes with fixed holds and with ``{min, max}``: real triggers, time that runs faster, random errors."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import statistics
import time
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from aiohttp import web

from benchmarks.places import history
from benchmarks.table import Skip, load, table
from benchmarks.triggerer import close_sessions

if TYPE_CHECKING:
    from release_pipelines.core.model.verdict import Verdict

RATES = (5, 20, 50, 100, 500)
"""Requests per second to the app."""
ERRORS = 0.001
"""Share of bad requests, of both versions: the new one is as good as the old one."""
WEIGHTS = (5, 25, 50, 100)
HOLD = 300.0
HOLDS: dict[str, Any] = {"fixed": HOLD, "min and max": {"min": HOLD / 10, "max": HOLD}}
RUNS = 5
FASTER = 20
"""So many seconds pass in one."""
INTERVAL = 10.0


class Traffic:
    """Counters of one release: a steady stream of requests, of which some are bad at random."""

    def __init__(self, rate: float, seed: int) -> None:
        self.rate = rate * FASTER
        self.weight = 0
        self.began = time.time()
        self._random = {track: random.Random(f"{seed} {rate} {track}") for track in ("canary", "stable")}
        self._bad: dict[str, list[int]] = {"canary": [], "stable": []}

    def count(self, track: str, at: float, *, bad: bool) -> int:
        """The counter's value at Unix time ``at``; only its growth means something."""
        share = self.weight if track == "canary" else 100 - self.weight
        total = int(self.rate * share / 100 * (at - self.began))
        return bisect_right(self._bad_up_to(track, total), total) if bad else total

    def _bad_up_to(self, track: str, total: int) -> list[int]:
        numbers = self._bad[track]
        while not numbers or numbers[-1] <= total:
            numbers.append((numbers[-1] if numbers else 0) + 1 + int(self._random[track].expovariate(ERRORS)))
        return numbers


class Metrics:
    """The metrics service of all releases."""

    def __init__(self) -> None:
        self.traffic: dict[str, Traffic] = {}

    async def __aenter__(self) -> Metrics:
        app = web.Application()
        app.router.add_post("/api/v1/query_range", self._range)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _range(self, request: web.Request) -> web.Response:
        given: Any = await request.post()
        from release_pipelines.adapters.metrics.sources._counters import LABEL
        from tests.fakes import counters_in

        start, step = float(given["start"]), float(given["step"])
        moments = [start + n * step for n in range(round((float(given["end"]) - start) / step) + 1)]
        result = []
        for text, counter in counters_in(given["query"]):
            found = re.search(r'service="(.+)-production-(\w+)@redis"', text)
            assert found
            traffic, bad = self.traffic[found[1]], "5.." in text
            values = [[at, str(traffic.count(found[2], at, bad=bad))] for at in moments]
            result.append({"metric": {LABEL: counter}, "values": values})
        data = {"resultType": "matrix", "result": result}
        return web.json_response({"status": "success", "data": data})


async def release(metrics: Metrics, kind: str, rate: float, seed: int) -> float | None:
    """Minutes of all stages of one release; None when it was rolled back."""
    from release_pipelines.core.model.verdict import Verdict

    app = f"{kind.replace(' ', '-')}-{rate:g}-{seed}"
    traffic = metrics.traffic[app] = Traffic(rate, seed)
    world, stage_of = _world(app, kind)
    seconds = 0.0
    for number, weight in enumerate(WEIGHTS):
        traffic.weight = weight
        trigger = stage_of(number, weight)
        event = await trigger.watch(world.platform())
        verdict = Verdict.model_validate(event["verdict"])
        if verdict.judgement != "pass":
            return None
        seconds += _took(world.note.started_at, verdict)
    return seconds * FASTER / 60


def _took(started_at: float | None, verdict: Verdict) -> float:
    assert started_at is not None
    return verdict.decided_at - started_at


def _world(app: str, kind: str) -> Any:
    """The app in memory, and what makes the trigger of a stage."""
    from release_pipelines.core.model.base import to_json
    from release_pipelines.core.model.lease import Lease
    from release_pipelines.core.model.stage import Stage
    from release_pipelines.core.model.traffic import share_with
    from release_pipelines.features.stage.triggers import StageTrigger
    from tests import fakes

    world, target = fakes.World(), fakes.target("benchmark_prometheus").model_copy(update={"app": app})
    world.runs("stable", fakes.artifact("1.0.0", fakes.GOOD))
    world.runs("canary", fakes.artifact(), 1)
    world.fence, world.lease = 1, Lease(holder=app, fence=1, expires_at=time.time() + 3600)
    hold = HOLDS[kind]
    faster = {key: it / FASTER for key, it in hold.items()} if isinstance(hold, dict) else hold / FASTER
    metric = {"name": "errors", "source": "errors", "limit": "1%"}
    analysis = {"interval": INTERVAL / FASTER, "patience": 60 / FASTER, "metrics": [metric]}

    def stage_of(number: int, weight: int) -> StageTrigger:
        given = {"name": f"stage_{number}", "track": "canary", "traffic": share_with("canary", weight)}
        return StageTrigger(
            target=to_json(target),
            release=app,
            artifact=to_json(fakes.artifact()),
            fence=1,
            stage=to_json(Stage.model_validate({**given, "hold": faster, "analysis": analysis})),
            replicas=1,
            previous=to_json(fakes.artifact("1.0.0", fakes.GOOD)),
        )

    return world, stage_of


async def measure() -> list[list[str]]:
    """All releases beside each other, as rows of the table."""
    async with Metrics() as metrics:
        os.environ["AIRFLOW_CONN_BENCHMARK_PROMETHEUS"] = json.dumps({"conn_type": "prometheus", "host": metrics.url})
        cases = [(kind, rate, seed) for kind in HOLDS for rate in RATES for seed in range(RUNS)]
        try:
            took = await asyncio.gather(*(release(metrics, *case) for case in cases))
        finally:
            await close_sessions()
    times = dict(zip(cases, took, strict=True))
    rows = []
    for rate in RATES:
        fixed, early = ([times[kind, rate, seed] for seed in range(RUNS)] for kind in HOLDS)
        if not (good := [it for it in fixed if it]) or not (quick := [it for it in early if it]):
            raise Skip(f"no release at {rate} requests/s came to its end")
        back = fixed.count(None) + early.count(None)
        ratio = statistics.median(quick) / statistics.median(good)
        shown = [
            f"{statistics.median(good):.1f}",
            f"{statistics.median(quick):.1f}",
            f"{max(quick):.1f}",
            f"{ratio:.2f}",
        ]
        rows.append([f"{rate} requests/s", *shown, str(back)])
    return rows


def main() -> None:
    """Print the table."""
    with history():
        rows = asyncio.run(measure())
    table(
        f"Minutes in the stages of a good canary (weights {', '.join(map(str, WEIGHTS))} %; holds of {HOLD / 60:g} min, or "
        f"{HOLD / 600:g} to {HOLD / 60:g} min; {RUNS} releases each; {ERRORS:.1%} errors; limit 1 %)",
        ["", "fixed", "min and max", "most", "ratio", "rolled back"],
        rows,
    )
    load()
