"""One replica: what the engine is told of it, and whether it is ready."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from release_pipelines.adapters.platforms.container_host.rollout import Want
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.base import stored
from release_pipelines.core.model.observation import Answer
from release_pipelines.core.model.target import Target, Workload
from release_pipelines.core.model.track import Track
from release_pipelines.core.progression.waiting import within

if TYPE_CHECKING:
    from aiohttp import ClientSession

PROBE_SECONDS = 3.0
CONNECT_SECONDS = 0.3
"""Time that an address has to take a connection, in seconds; a refusal comes at once."""
SERVING_TRIES = 2
"""So often a replica that serves is asked when it takes too long to answer: a busy one is no dead one."""
NOT_SERVING = "does not serve port"
LABEL = "release-pipelines."
PORTS = range(20_000, 30_000)
"""Ports of the host that replicas get: those that systems give to outgoing connections are above."""
PORTS_TRIED = 50
NO_RESTART: dict[str, Any] = {"Name": "no"}
RESTART: dict[str, Any] = {"Name": "unless-stopped"}
"""For a stable that was ready once. A new version that ends is a verdict, and would be hidden by a restart."""


def some_ports() -> list[int]:
    """Ports to try, in no order: others on the machine may use the same ones."""
    return random.sample(PORTS, PORTS_TRIED)


def container_body(
    target: Target, track: Track, want: Want, number: int, publish_on: str, address: str
) -> dict[str, Any]:
    """What the engine is told of one replica.

    :param publish_on: the host's address for its port.
    :param address: ``host:port`` where the router reaches it; it has the same one after every start.
    """
    workload = workload_of(target, want)
    port = f"{workload.port}/tcp"
    labels = {"app": target.app, "environment": target.environment, "track": track, "digest": want.digest}
    labels |= {"version": want.version, "replica": str(number), "address": address}
    own_port = address.rpartition(":")[2]
    return {
        "Image": want.reference,
        "Env": [f"{key}={value}" for key, value in {**workload.env, "PORT": str(workload.port)}.items()],
        "Labels": {f"{LABEL}{key}": value for key, value in labels.items()},
        "ExposedPorts": {port: {}},
        "HostConfig": {
            "PortBindings": {port: [{"HostIp": publish_on, "HostPort": own_port}]},
            "RestartPolicy": RESTART if restarts(track, want) else NO_RESTART,
            "NanoCpus": round((workload.cpu or 0) * 1e9),
            "Memory": memory_bytes(workload.memory),
        },
    }


def restarts(track: Track, want: Want) -> bool:
    """Whether the engine itself shall start a replica again that has ended."""
    return track == "stable" and want.settled


def workload_of(target: Target, want: Want | None) -> Workload:
    """The configuration that replicas run with: what was wanted with them, else the target's."""
    if not (want and want.workload):
        return target.workload
    with stored():
        return Workload.model_validate(want.workload)


def memory_bytes(limit: str | None) -> int:
    """``256Mi`` in bytes; 0 for no limit."""
    return int(limit[:-2]) * 1024 ** ("Ki", "Mi", "Gi").index(limit[-2:]) * 1024 if limit else 0


class Prober:
    """Asks replicas whether they are ready, over connections that are closed at once: one that is kept would be in the
    way of a replica that wants to end."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None

    def _opened(self) -> ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS), connector=aiohttp.TCPConnector(force_close=True)
            )
        return self._session

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def trouble(self, url: str | None, workload: Workload, tries: int = 1) -> str | None:
        """Why the replica at ``url`` is not ready, as the end of a sentence; None if it is.

        :param tries: how often it is asked when it takes too long.
        """
        import aiohttp

        if url is None:
            return f"does not publish port {workload.port}"
        try:
            async with self._opened().get(f"{url}{workload.health}", allow_redirects=False) as response:
                ready = 200 <= response.status < 300
                return None if ready else f"answers {workload.health} with {response.status}"
        except asyncio.TimeoutError:
            if tries > 1:
                return await self.trouble(url, workload, tries - 1)
            return f"does not answer {workload.health} on port {workload.port} within {PROBE_SECONDS:g} s"
        except (aiohttp.ClientError, OSError):
            return f"{NOT_SERVING} {workload.port}"

    async def refuses(self, url: str) -> bool:
        """Whether nobody takes connections there. Nothing is asked; one that is only slow to take them does not refuse."""
        host, _, port = url.rpartition("//")[2].rpartition(":")
        try:
            _, writer = await within(CONNECT_SECONDS, asyncio.open_connection(host, int(port)))
        except asyncio.TimeoutError:
            return False
        except OSError:
            return True
        writer.close()
        return False

    async def any_ready(self, urls: list[str], workload: Workload) -> bool:
        """Whether one of the replicas that serve is ready; returns with the first that is."""
        probes = [asyncio.ensure_future(self.trouble(url, workload, SERVING_TRIES)) for url in urls]
        try:
            for probe in asyncio.as_completed(probes):
                if await probe is None:
                    return True
            return False
        finally:
            for left in probes:
                left.cancel()

    async def ask(self, url: str, host: str | None, version_header: str) -> Answer:
        """GET ``url`` as the proxy would; raises PlatformError when there is no answer."""
        import aiohttp

        try:
            sent = {"Host": host} if host else {}
            async with self._opened().get(url, headers=sent, allow_redirects=False) as response:
                return Answer(status=response.status, version=response.headers.get(version_header))
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise PlatformError(f"{url} gives no answer: {type(error).__name__}.") from error

    async def proxy_answers(self, url: str) -> None:
        """Raise PlatformUnavailable unless something answers at ``url``, with whatever status."""
        import aiohttp

        try:
            async with self._opened().get(url, allow_redirects=False):
                pass
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise PlatformUnavailable(f"The proxy at {url} does not answer: {type(error).__name__}.") from error
