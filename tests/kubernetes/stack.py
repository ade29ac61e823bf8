"""What all scenarios share: one proxy, one Prometheus, one event loop in a thread of its own, and a history."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from release_pipelines.adapters.kubernetes.client import PODS, Client
from release_pipelines.adapters.kubernetes.router import TRACK
from release_pipelines.core.errors import PlatformUnavailable
from release_pipelines.core.model.artifact import Artifact
from sandbox.gateway import start_gateway
from sandbox.kubernetes import manifests
from tests.kubernetes.conftest import CACHE, CONTEXT, apply, free_port, kubectl, opened
from tests.kubernetes.data_planes import PLANES

T = TypeVar("T")

SCRAPE = "500ms"
DISCOVER_SECONDS = 0.5
NAMESPACES = "release-test-"
"""How the names of all namespaces of these tests begin."""


@dataclass
class Stack:
    """The addresses of what runs, and how to end it."""

    artifacts: Callable[..., Artifact]
    gateway_class: str
    gateway: int
    """The proxy's port; its metrics and its API have the next one."""
    prometheus: str
    pushed: dict[tuple[str, str], Artifact] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def artifact(self, version: str, mode: str) -> Artifact:
        """The image of a version, pushed once."""
        if (version, mode) not in self.pushed:
            self.pushed[version, mode] = self.artifacts(version, mode)
        return self.pushed[version, mode]

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run something beside the tests."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stop(self) -> None:
        """End everything that was started."""
        self.begin(_end_all()).result(60)
        self.loop.call_soon_threadsafe(self.loop.stop)
        for process in self.processes:
            process.terminate()
            process.wait(20)
        kubectl("delete", "gatewayclass", self.gateway_class)


async def _end_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def start(artifacts: Callable[..., Artifact], home: Path) -> Stack:
    """Start the proxy, Prometheus and the loop."""
    port, metrics = free_port(), free_port()
    stack = Stack(artifacts, f"release-test-{port}", port, f"http://127.0.0.1:{metrics}")
    threading.Thread(target=stack.loop.run_forever, name="scenarios", daemon=True).start()
    apply(manifests.gateway_class(stack.gateway_class))
    kubeconfig = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
    try:
        stack.processes.append(start_gateway(kubeconfig, CONTEXT, port, CACHE / "gateway"))
        stack.processes.append(_start_prometheus(home, port + 1, metrics))
        _answers(f"http://127.0.0.1:{port + 1}/ping")
        _answers(f"{stack.prometheus}/-/ready")
        stack.begin(_discover(home / "pods.json"))
    except BaseException:
        stack.stop()
        raise
    return stack


def _start_prometheus(home: Path, proxy: int, port: int) -> subprocess.Popen[bytes]:
    program = shutil.which("prometheus", path=os.environ.get("PATH", "") + ":/usr/bin:/usr/local/bin")
    assert program, "prometheus is missing: `sandbox/bootstrap` brings it"
    scrapes: list[dict[str, Any]] = [
        {"job_name": "proxy", "static_configs": [{"targets": [f"127.0.0.1:{proxy}"]}]},
        *(
            {
                "job_name": name,
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [it.metrics]}],
                "metric_relabel_configs": it.named_as,
            }
            for name, it in PLANES.items()
        ),
        {"job_name": "pods", "file_sd_configs": [{"files": [str(home / "pods.json")]}]},
    ]
    settings = {"global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE}, "scrape_configs": scrapes}
    path = home / "prometheus.yml"  # JSON is YAML
    path.write_text(json.dumps(settings))
    command = [
        program,
        f"--config.file={path}",
        f"--storage.tsdb.path={home}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (home / "prometheus.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


async def _discover(path: Path) -> None:
    """Tell Prometheus of every pod of the tests, by namespace and track: the app's own counters, for routers without any.

    Debian's Prometheus was built without the discovery of pods.
    """
    async with opened()() as api:
        client, known = Client(api), ""
        while True:
            with suppress(PlatformUnavailable):
                pods = await client.find(PODS, None)
                groups = [
                    {
                        "targets": [f"{pod['status']['podIP']}:8080"],
                        "labels": {
                            "namespace": pod["metadata"]["namespace"],
                            "track": pod["metadata"]["labels"].get(TRACK, "stable"),
                            "pod": pod["metadata"]["name"],
                        },
                    }
                    for pod in pods
                    if pod["metadata"]["namespace"].startswith(NAMESPACES)
                    and pod["status"].get("podIP")
                    and pod["status"].get("phase") == "Running"
                ]
                found = json.dumps(sorted(groups, key=str))
                if found != known:
                    path.with_suffix(".part").write_text(found)
                    path.with_suffix(".part").rename(path)
                    known = found
            await asyncio.sleep(DISCOVER_SECONDS)


def _answers(url: str, within: float = 30) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)
