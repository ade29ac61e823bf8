"""How many canaries one triggerer can watch: CPU and lateness of real triggers in one event loop."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.table import Skip, table

COUNTS = (100, 500, 1000)
SECONDS = 30.0
INTERVAL = 10.0

# In a process of its own, and as cheap as can be: what a metrics service costs is not the triggerer's. Every track has 1,000
# requests in every window and none of them is bad.
SERVER = """
import asyncio

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
        number = 0 if b"5.." in body or b"clamp_min" in body else 1000
        text = '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[0,"%d"]}]}}' % number
        head = "HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text)
        self.transport.write((head + text).encode())

async def main():
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0)
    print("http://127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


async def close_sessions() -> None:
    """Close what all readers of this event loop share; a triggerer keeps it as long as it lives."""
    from release_pipelines.hooks.prometheus import PrometheusReader

    if session := PrometheusReader._sessions.pop(asyncio.get_running_loop(), None):
        await session.close()


async def watch(count: int) -> tuple[float, int, list[float]]:
    """CPU seconds, measurements and how late each was (seconds) while ``count`` canaries are watched."""
    from release_pipelines.domain.values import to_json
    from release_pipelines.spec.analysis import AnalysisSpec
    from release_pipelines.triggers.canary import CanaryTrigger
    from tests import fakes

    late: list[float] = []
    good, new = fakes.artifact("1.0.0", fakes.GOOD), fakes.artifact()

    class Timed(CanaryTrigger):
        async def _measure(self, *arguments: Any) -> None:
            known = set(self.samples)
            await super()._measure(*arguments)
            late.extend(time.time() - tick for _, tick in self.samples.keys() - known)

    async def one(number: int) -> None:
        await asyncio.sleep(INTERVAL * number / count)  # releases do not begin together
        world = fakes.World()
        world.runs("stable", good)
        world.runs("canary", new)
        target = fakes.target("benchmark_prometheus").model_copy(update={"app": f"app-{number}"})
        lease = await world.platform().take_lease(target, "benchmark", 3600)
        metrics = [
            {"name": name, "source": name.replace("-", "_"), "limit": 0.01} for name in ("errors", "slow-requests")
        ]
        trigger = Timed(
            target=to_json(target),
            release="benchmark",
            artifact=to_json(new),
            fence=lease.fence,
            step="step_10",
            weight=10,
            replicas=1,
            hold=3600,
            analysis=AnalysisSpec.model_validate({"interval": INTERVAL, "metrics": metrics}).model_dump(mode="json"),
        )
        await trigger.watch(world.platform())

    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    await asyncio.sleep(INTERVAL + 1)  # all have begun
    late.clear()
    begun = time.process_time()
    await asyncio.sleep(SECONDS)
    used = time.process_time() - begun
    failed = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await close_sessions()
    if failed:
        raise Skip(f"{len(failed)} triggers ended early: {failed[0]!r}")
    return used, len(late), list(late)


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
        for count in COUNTS:
            used, measured, late = asyncio.run(watch(count))
            rows.append(
                [
                    f"{count:,} canaries",
                    f"{measured:,}",
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
        f"Canaries in one event loop, each measured every {INTERVAL:g} s, for {SECONDS:g} s (platform in memory)",
        ["", "samples", "of one core", "late, median", "late, most", "target"],
        rows,
    )
