"""A small asynchronous client of Docker's API: what a platform needs of Docker or Podman."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from release_pipelines.adapters.outbound import excerpt, whole
from release_pipelines.adapters.platforms.container_host.logs import LogEnd
from release_pipelines.core.errors import CredentialsRefused, Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.observation import Usage
from release_pipelines.core.ports.platform import RegistryAuth
from release_pipelines.core.progression.waiting import within
from release_pipelines.core.text import clean, one_line

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

log = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
PULL_SILENCE_SECONDS = 120.0
USAGE_SECONDS = 1.0
"""CPU is looked at over this long where the engine itself compares no two readings."""
LOG_LIMIT = 100_000
"""Maximum length of a container's log that is kept, in characters."""
PIECE_BYTES = 65_536
"""So much of an answer that comes piece by piece is taken in at once, in bytes."""
LINE_BYTES = 1_000_000
"""Maximum length of a line of a pull's progress, in bytes."""
STOP_SECONDS = 10
"""How long a container may take to end after SIGTERM before it is killed."""


class EngineRefusal(PlatformError):
    """The engine answered, and said no.

    :param status: HTTP status of its answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NoSuchImage(EngineRefusal):
    """The registry has no such image, or does not give it to these credentials."""


@dataclass(frozen=True)
class Container:
    """One container as the engine lists it."""

    id: str
    name: str
    state: str
    labels: dict[str, str] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    """Container ports and the host ports that they are published on."""
    image: str = ""
    """The image as it was named when the container was made."""
    created_at: float = 0.0
    """Unix time."""


class Engine:
    """The engine at one address.

    :param url: ``unix:///path/to.sock``, ``tcp://host:port``, ``http://`` or ``https://``.
    :param registry_auth: ``username``, ``password`` and ``serveraddress`` for pulls; None for an open registry.
    :param auth_now: the same as they are now, for when they are refused; None: there are no others.
    """

    def __init__(
        self, url: str, registry_auth: dict[str, str] | None = None, auth_now: RegistryAuth | None = None
    ) -> None:
        self.url = url
        self._auth = registry_auth
        self._auth_now = auth_now
        self._session: ClientSession | None = None
        parts = urlsplit(url)
        self._socket = parts.path if parts.scheme == "unix" else None
        scheme = "https" if parts.scheme == "https" else "http"
        self._base = "http://engine" if self._socket else f"{scheme}://{parts.netloc}"
        self.address = "127.0.0.1" if self._socket else parts.hostname or "127.0.0.1"
        """Where published ports answer."""
        self.publish_on = self.address if re.fullmatch(r"[\d.]+", self.address) else "0.0.0.0"  # noqa: S104
        """The host's address that ports are published on: an engine that is known by name is another machine."""

    def _opened(self) -> ClientSession:
        import aiohttp

        if self._session is None:
            connector = aiohttp.UnixConnector(self._socket) if self._socket else aiohttp.TCPConnector()
            timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=5)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def _answer(self, method: str, path: str, **options: Any) -> AsyncIterator[ClientResponse]:
        import aiohttp
        from yarl import URL

        try:
            url = URL(f"{self._base}{path}", encoded=True)
            async with self._opened().request(method, url, **options) as response:
                if response.status >= 400:
                    said = (await excerpt(response)).decode(errors="replace")
                    raise _refusal(response.status, said, f"{method} {path}")
                yield response
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            if isinstance(getattr(error, "os_error", error), PermissionError):
                raise Forbidden(
                    f"The container engine's socket {self._socket} may not be opened by this user."
                ) from error
            explanation = one_line(error) or type(error).__name__
            raise PlatformUnavailable(f"The container engine at {self.url} does not answer: {explanation}.") from error

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        async with self._answer(method, path, **options) as response:
            try:
                return json.loads(await whole(response))
            except ValueError as error:
                raise PlatformUnavailable(
                    f"The container engine at {self.url} answers {method} {path.split('?')[0]} with something that is no JSON."
                ) from error

    async def ping(self) -> None:
        """Raise PlatformUnavailable unless the engine answers."""
        try:
            async with self._answer("GET", "/_ping"):
                pass
        except EngineRefusal as error:
            raise PlatformUnavailable(f"The container engine at {self.url} is not well: {error}") from error

    async def containers(self, labels: dict[str, str]) -> list[Container]:
        """All containers that carry ``labels``, running or not; an empty value stands for any."""
        wanted = [f"{key}={value}" if value else key for key, value in labels.items()]
        filters = quote(json.dumps({"label": wanted}))
        try:
            containers = await self._json("GET", f"/containers/json?all=true&filters={filters}")
        except EngineRefusal as error:
            raise PlatformUnavailable(f"The container engine at {self.url} cannot list containers: {error}") from error
        return [
            Container(
                id=item["Id"],
                name=item["Names"][0].lstrip("/"),
                state=str(item.get("State") or "").lower(),
                labels=item.get("Labels") or {},
                ports={p["PrivatePort"]: p["PublicPort"] for p in item.get("Ports") or [] if p.get("PublicPort")},
                image=str(item.get("Image") or ""),
                created_at=float(item["Created"]) if isinstance(item.get("Created"), int) else 0.0,
            )
            for item in containers
        ]

    async def has_image(self, reference: str) -> bool:
        """Whether the engine has the image already."""
        try:
            await self._json("GET", f"/images/{quote(reference, safe='/:@')}/json")
        except EngineRefusal as error:
            if error.status == 404:
                return False
            raise
        return True

    async def pull(self, reference: str) -> None:
        """Fetch an image, with the registry's credentials; those that are refused are read anew.

        Raises NoSuchImage when the registry does not have or give it, PlatformUnavailable when it cannot be reached.
        """
        try:
            await self._pull(reference)
        except NoSuchImage as error:
            now = await self._auth_now() if self._auth_now and error.status == 403 else self._auth
            if now == self._auth:
                raise
            self._auth = now
            await self._pull(reference)

    async def _pull(self, reference: str) -> None:
        import aiohttp

        auth = base64.urlsafe_b64encode(json.dumps(self._auth).encode()).decode()
        headers = {"X-Registry-Auth": auth} if self._auth else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=PULL_SILENCE_SECONDS)
        path = f"/images/create?fromImage={quote(reference, safe='')}"
        try:
            async with self._answer("POST", path, headers=headers, timeout=timeout) as response:
                async for line in _lines(response):
                    status = _progress(line)
                    if status.get("error"):  # a pull that fails midway still began with status 200
                        raise EngineRefusal(500, clean(status["error"]))
        except EngineRefusal as error:
            raise pull_error(reference, str(error)) from error

    async def create(self, name: str, body: dict[str, Any]) -> bool:
        """Create a container; returns False if there is one of that name already."""
        try:
            await self._json("POST", f"/containers/create?name={name}", json=body)
        except EngineRefusal as error:
            if error.status == 409 or "already in use" in str(error):
                return False
            raise
        return True

    async def start(self, name: str) -> None:
        """Start a container; nothing if it runs."""
        async with self._answer("POST", f"/containers/{name}/start"):
            pass

    async def restart_by_itself(self, name: str, policy: dict[str, Any]) -> None:
        """Change whether the engine starts a container again; nothing where it cannot change that (Podman before 5)."""
        with suppress(EngineRefusal):
            await self._json("POST", f"/containers/{name}/update", json={"RestartPolicy": policy})

    async def has_process(self, name: str) -> bool:
        """Whether a signal, one that processes ignore, reaches the container: what the engine lists may be what it was told last."""
        try:
            async with self._answer("POST", f"/containers/{name}/kill?signal=SIGURG"):
                return True
        except EngineRefusal:
            return False
        except Forbidden:  # this user may not ask
            return True

    async def stop(self, name: str) -> None:
        """Send SIGTERM and wait, at most :data:`STOP_SECONDS`; nothing if it has ended or is gone."""
        await self._unless_gone("POST", f"/containers/{name}/stop?t={STOP_SECONDS}")

    async def remove(self, name: str) -> None:
        """Remove a container, killing it if it runs; nothing if it is gone."""
        with suppress(EngineRefusal):  # it has ended; without this Podman's removal would ask it to stop, and wait
            await self._unless_gone("POST", f"/containers/{name}/kill")
        path = f"/containers/{name}?force=true&v=true"
        try:
            await self._unless_gone("DELETE", path)
        except EngineRefusal:  # by this try Podman may have noticed that nothing runs any more
            await self._unless_gone("DELETE", path)

    async def _unless_gone(self, method: str, path: str) -> None:
        try:
            async with self._answer(method, path):
                pass
        except EngineRefusal as error:
            if error.status not in (404, 409):  # 409: another call removes it already
                raise

    async def inspect(self, name: str) -> dict[str, Any]:
        """The container's details; empty if it is gone."""
        try:
            details: dict[str, Any] = await self._json("GET", f"/containers/{name}/json")
        except EngineRefusal as error:
            if error.status == 404:
                return {}
            raise
        return details

    def inside(self, details: dict[str, Any], port: int) -> str | None:
        """Where a container listens itself, beside its published port; None where only the engine's machine would reach that.

        :param details: what :meth:`inspect` gave.
        """
        settings = details.get("NetworkSettings") or {}
        networks = [settings, *(settings.get("Networks") or {}).values()]
        address = next((it["IPAddress"] for it in networks if it.get("IPAddress")), None)
        return f"http://{address}:{port}" if address and self.address.startswith("127.") else None

    async def wait(self, name: str, seconds: float) -> int | None:
        """The exit code of a container once it has ended; None if it still runs after ``seconds``."""
        import aiohttp

        try:
            patient = aiohttp.ClientTimeout(total=None, sock_connect=5)
            answer = await within(seconds, self._json("POST", f"/containers/{name}/wait", timeout=patient))
        except asyncio.TimeoutError:
            return None
        return int(answer["StatusCode"])

    async def logs(self, name: str, lines: int) -> str:
        """The last lines that a container wrote; empty if there are none or it is gone.

        A line may be of any length: only the end of what comes is kept.
        """
        end = LogEnd(LOG_LIMIT)
        try:
            async with self._answer("GET", f"/containers/{name}/logs?stdout=true&stderr=true&tail={lines}") as response:
                async for piece in response.content.iter_chunked(PIECE_BYTES):
                    end.take(piece)
        except PlatformError as error:  # it explains, and decides nothing
            log.info("The log of %s was not read to its end: %s", name, error)
        return "\n".join(clean(end.text, LOG_LIMIT, "end").splitlines()[-lines:])

    async def usage(self, name: str) -> Usage:
        """CPU and memory of a running container as a share of its limits."""
        details = await self.inspect(name)
        before = await self._json("GET", f"/containers/{name}/stats?stream=false")
        if not _number(before, "precpu_stats", "system_cpu_usage"):  # Podman's first reading has none before it
            await asyncio.sleep(USAGE_SECONDS)
            now = await self._json("GET", f"/containers/{name}/stats?stream=false")
            now["precpu_stats"] = before.get("cpu_stats")
            return usage(details.get("HostConfig") or {}, now)
        return usage(details.get("HostConfig") or {}, before)


def _progress(line: bytes) -> dict[str, Any]:
    """One line of a pull's answer."""
    try:
        status = json.loads(line)
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


def _refusal(status: int, text: str, what: str) -> PlatformError:
    try:
        message = str(json.loads(text).get("message") or text)
    except (ValueError, AttributeError):
        message = text
    message = clean(message).strip() or f"status {status}"
    if status in (401, 403):
        denied = CredentialsRefused if status == 401 else Forbidden
        return denied(f"The container engine forbids {what.split('?')[0]}: {message}")
    return EngineRefusal(status, message)


def pull_error(reference: str, message: str) -> PlatformError:
    """What a failed pull means: the image is not to be had, or the registry is not there right now."""
    lowered = message.lower()
    if any(words in lowered for words in ("unauthorized", "denied", "authentication required", "forbidden")):
        return NoSuchImage(403, f"the registry does not give {reference} to these credentials ({message})")
    if any(words in lowered for words in ("manifest unknown", "not found", "name unknown", "no such image")):
        return NoSuchImage(404, f"the registry has no image {reference} ({message})")
    return PlatformUnavailable(f"The registry cannot be asked for {reference}: {message}")


async def _lines(response: ClientResponse) -> AsyncIterator[bytes]:
    """The lines of an answer as they come; of one that is too long to mean anything the end."""
    begun = b""
    async for piece in response.content.iter_chunked(PIECE_BYTES):
        *lines, begun = (begun + piece).split(b"\n")
        for line in lines:
            yield line
        begun = begun[-LINE_BYTES:]
    yield begun


def usage(host: dict[str, Any], stats: dict[str, Any]) -> Usage:
    """Shares of the limits in ``host`` (an inspected HostConfig), from one reading of the engine's statistics."""
    cores = (host.get("NanoCpus") or 0) / 1e9
    if not cores and host.get("CpuPeriod"):
        cores = max(0, host.get("CpuQuota") or 0) / host["CpuPeriod"]
    now, before = stats.get("cpu_stats") or {}, stats.get("precpu_stats") or {}
    used = _number(now, "cpu_usage", "total_usage") - _number(before, "cpu_usage", "total_usage")
    machine = _number(now, "system_cpu_usage") - _number(before, "system_cpu_usage")
    online = now.get("online_cpus") or 1
    cpu = used / machine * online / cores if cores and machine > 0 and before.get("system_cpu_usage") else None
    memory = host.get("Memory") or 0
    cache = _number(stats.get("memory_stats") or {}, "stats", "inactive_file")
    in_use = _number(stats.get("memory_stats") or {}, "usage") - cache
    return Usage(cpu=cpu, memory=in_use / memory if memory else None)


def _number(tree: dict[str, Any], *path: str) -> float:
    for key in path:
        tree = tree.get(key) or {}
    return float(tree) if isinstance(tree, (int, float)) else 0.0
