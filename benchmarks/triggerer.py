"""How many canaries one triggerer can watch: CPU and lateness of real triggers in one event loop."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.table import Skip, load, table
from release_pipelines.adapters.metrics.sources._counters import LABEL

if TYPE_CHECKING:
    from release_pipelines.airflow.triggers import PlatformTrigger
    from tests.fakes import World

CASES = ((100, 0.0), (500, 0.0), (1000, 0.0), (1000, 50 * 60.0))
"""How many canaries, and seconds since their step began."""
SECONDS = 30.0
INTERVAL = 10.0
PATIENCE = 180.0
WEIGHT = 10

# In a process of its own, and as cheap as can be: what a metrics service costs is not the triggerer's. Every series counts 100
# requests a second since 2026; none is bad, so there is no series of bad ones, and all of them are in the histogram's bucket.
SERVER = """
import asyncio
import re
from urllib.parse import parse_qs

COUNTER = re.compile('"LABEL", "([^"]*)"')

class Service(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        self.data += data
        head, found, body = self.data.partition(b"\\r\\n\\r\\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\\r")[0]) if found else 0
        if not found or len(body) < length:
            return
        self.data = b""
        asked = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        start, end, step = (float(asked[key]) for key in ("start", "end", "step"))
        moments = (start + n * step for n in range(int((end - start) / step) + 1))
        values = ",".join('[%.3f,"%d"]' % (at, 100 * (at - 1767225600)) for at in moments)
        counters = (COUNTER.search(it)[1] for it in asked["query"].split(" or ") if "5.." not in it)
        result = ",".join('{"metric":{"code":"200","LABEL":"%s"},"values":[%s]}' % (it, values) for it in counters)
        text = '{"status":"success","data":{"resultType":"matrix","result":[%s]}}' % result
        head = "HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text)
        self.transport.write((head + text).encode())

async def main():
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0)
    print("http://127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
""".replace("LABEL", LABEL)


async def close_sessions() -> None:
    """Close what all readers of this event loop share; a triggerer keeps it as long as it lives."""
    from release_pipelines.adapters.metrics.prometheus import PrometheusReader

    await PrometheusReader("", {}).close()


def triggers_of(number: int, ago: float) -> tuple[World, list[PlatformTrigger]]:
    """A release in the middle of a long step: what watches its canary, and its heartbeat.

    :param ago: seconds since the step began.
    """
    from release_pipelines.core.model.base import to_json
    from release_pipelines.core.model.lease import Lease
    from release_pipelines.core.model.observation import Usage
    from release_pipelines.core.model.route import Route, RouteNote
    from release_pipelines.core.model.stage import Stage
    from release_pipelines.core.model.traffic import share_with
    from release_pipelines.features.lease.triggers import HoldLeaseTrigger
    from release_pipelines.features.stage.triggers import StageTrigger
    from release_pipelines.spec.loader import DEFAULT_ANALYSIS
    from tests import fakes

    release, traffic = f"release_app_{number}/run#0", share_with("canary", WEIGHT)
    target = fakes.target("benchmark_prometheus").model_copy(update={"app": f"app-{number}"})
    given = {"name": "step_10", "track": "canary", "traffic": traffic, "hold": "2h"}
    analysis = DEFAULT_ANALYSIS.model_copy(update={"interval": INTERVAL})
    stage = Stage.model_validate({**given, "analysis": analysis})
    world = fakes.World()
    world.usage = Usage(cpu=0.4, memory=0.5)
    world.runs("stable", fakes.artifact("1.0.0", fakes.GOOD))
    world.runs("canary", fakes.artifact())
    world.fence = 1
    world.lease = Lease(holder=release, fence=1, expires_at=time.time() + 3600)
    note = RouteNote(release=release, step=stage.name, traffic=traffic, started_at=time.time() - ago)
    world.route = Route(traffic=traffic, fence=1, note=note)
    where = to_json(target)
    watching = StageTrigger(
        target=where,
        release=release,
        artifact=to_json(fakes.artifact()),
        fence=1,
        stage=to_json(stage),
        replicas=1,
        previous=to_json(fakes.artifact("1.0.0", fakes.GOOD)),
    )
    return world, [watching, HoldLeaseTrigger(target=where, lease=to_json(world.lease), ttl=120)]


@contextmanager
def timed(late: list[float], measured: set[int]) -> Iterator[None]:
    """Note of every sample how many seconds after its tick it was there, and who has measured."""
    from release_pipelines.core.progression import judging
    from release_pipelines.core.progression.measuring import Measurer

    class Timed(Measurer):
        async def take(self, *arguments: Any) -> None:
            known = set(self._samples)
            await super().take(*arguments)
            if new := self._samples.keys() - known:
                late.extend(time.time() - at for _, at in new)
                measured.add(id(self))

    setattr(judging, "Measurer", Timed)  # noqa: B010 - a module's name, not an attribute of a type
    try:
        yield
    finally:
        setattr(judging, "Measurer", Measurer)  # noqa: B010


async def watch(count: int, ago: float) -> tuple[float, float, list[float]]:
    """Watch ``count`` canaries. Seconds until each was measured for the first time; then, for a while, the CPU seconds and
    how late each measurement was (seconds)."""
    late: list[float] = []
    measured: set[int] = set()

    async def one(number: int) -> None:
        if not ago:  # releases do not begin together; a triggerer that starts anew has all of them at once
            await asyncio.sleep(INTERVAL * number / count)
        world, triggers = restarted[number] if ago else triggers_of(number, ago)
        await asyncio.gather(*(it.watch(world.platform()) for it in triggers))

    restarted = (
        [triggers_of(number, ago + INTERVAL * number / count) for number in range(count)] if ago else []
    )  # the platform is no triggerer's work; they did not begin together
    with timed(late, measured):
        tasks = [asyncio.create_task(one(number)) for number in range(count)]
        began = time.monotonic()
        while len(measured) < count:
            if time.monotonic() > began + PATIENCE:
                raise Skip(f"only {len(measured)} of {count} canaries were measured within {PATIENCE:g} s")
            await asyncio.sleep(0.1)
        ready = time.monotonic() - began
        await asyncio.sleep(INTERVAL if ago else 0)  # what a restart missed is late by nature, and made up for by then
        late.clear()
        begun = time.process_time()
        await asyncio.sleep(SECONDS)
        used = time.process_time() - begun
        failed = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await close_sessions()
    if failed:
        raise Skip(f"{len(failed)} triggers ended early: {failed[0].exception() or failed[0].result()!r}")
    return ready, used, list(late)


def main() -> None:
    """Print the table."""
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = server.stdout.readline().strip()
        if not url:
            raise Skip("the metrics service did not start")
        os.environ["AIRFLOW_CONN_BENCHMARK_PROMETHEUS"] = json.dumps({"conn_type": "prometheus", "host": url})
        rows = []
        with tempfile.TemporaryDirectory() as home:
            history = {"conn_type": "sqlite", "host": f"{home}/history.db"}
            os.environ["AIRFLOW_CONN_RELEASE_HISTORY"] = json.dumps(history)
            for count, ago in CASES:
                ready, used, late = asyncio.run(watch(count, ago))
                rows.append(
                    [
                        f"{count:,} canaries, {ago / 60:.0f} min old",
                        f"{ready:.0f} s",
                        f"{len(late):,}",
                        f"{100 * used / SECONDS:.0f} %",
                        f"{1000 * statistics.median(late):.0f} ms",
                        f"{1000 * max(late):.0f} ms",
                        "< 100 %, <= 2000 ms" if count == 1000 else "",
                    ]
                )
    finally:
        server.terminate()
        server.wait()
    table(
        f"Canaries with their heartbeats in one event loop, the default metrics of each measured every {INTERVAL:g} s, "
        f"for {SECONDS:g} s (platform in memory)",
        ["", "first measured", "samples", "of one core", "late, median", "late, most", "target"],
        rows,
    )
    load()
