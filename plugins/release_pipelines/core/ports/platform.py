"""Where the versions of an app run, as several ports: each can be done by something else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from release_pipelines.core.seams import Seam

if TYPE_CHECKING:
    from release_pipelines.core.model.artifact import Artifact
    from release_pipelines.core.model.connection import Connection
    from release_pipelines.core.model.lease import Lease
    from release_pipelines.core.model.observation import Answer, Observed, TrackStatus, Usage
    from release_pipelines.core.model.route import RouteNote
    from release_pipelines.core.model.target import Target
    from release_pipelines.core.model.track import Track
    from release_pipelines.core.model.traffic import Traffic
    from release_pipelines.core.ports.router import Router


class Workloads(Protocol):
    """What runs on the tracks of an app."""

    async def deploy(
        self,
        target: Target,
        track: Track,
        artifact: Artifact,
        replicas: int | None,
        fence: int,
        *,
        share: int = 100,
        restore: bool = False,
    ) -> bool:
        """State that ``track`` shall run ``artifact`` with so many replicas; never changes who gets traffic.

        ``replicas`` None leaves the number as it is (stable under an autoscaler, or the workload's own number).
        ``share`` (stable only): percent of the replicas that are replaced for now, rounded up; 100 replaces all.
        ``restore``: with the configuration that this digest ran with on stable when it was last there, as far as the
        platform remembers it (R8), instead of the target's. The preview also gets its own address here.
        Returns whether anything changed. On stable this begins a rolling update; :meth:`advance` completes it.
        """

    async def advance(self, target: Target, track: Track, fence: int) -> TrackStatus:
        """Move ``track`` toward what was stated, one small step, and return its status.

        Where a controller does the work this only looks, or stops it at the stated share. Called again and again until
        ``settled`` or ``failure``; with a share below 100, settled means that so many replicas are replaced and ready.
        """

    async def retire(self, target: Target, track: Track, fence: int) -> bool:
        """Remove a track that has no traffic, with its own address. Refuses (PlatformError) while requests still go to it.

        Asked again it removes what an earlier, killed try has left.
        """


class TrafficSplit(Protocol):
    """The traffic split."""

    async def split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        """State who gets which requests, and keep ``note``: in one write. Tracks that ``traffic`` does not name get none.

        Refuses (PlatformError) to give traffic to a track without a ready replica. Creates the route if there is none.
        Returns whether anything changed.
        """

    async def divert(self, target: Target, fence: int) -> bool:
        """Let requests that the route sends to tracks beside stable reach stable's replicas, without a change of the route.

        The second way back, where the route cannot be written. Deploying a track ends it. Returns whether there is such a way.
        """
        return False


class Leases(Protocol):
    """Leases of an app in an environment (R2)."""

    async def take_lease(
        self, target: Target, holder: str, ttl: float, *, force: bool = False, expired: Lease | None = None
    ) -> Lease:
        """Take the lease, with a new fence, which also is put on the route. Idempotent for the same holder.

        Raises :class:`LeaseHeld` while somebody else's lease has not expired, unless ``force`` (a rollback takes precedence).
        ``expired`` is a lease that ends now, whatever its expiry says: somebody else's that the caller has watched for
        :attr:`Lease.seconds`, and that is taken if it has still not changed; or the caller's own, whose fence rises then, so
        that what its holder has begun elsewhere writes nothing more.
        """

    async def renew_lease(self, target: Target, lease: Lease, ttl: float) -> Lease:
        """Push the expiry out. Raises :class:`FenceLost` when the lease is not this one any more."""

    async def give_back_lease(self, target: Target, lease: Lease) -> bool:
        """Free the lease if it is still this one; returns whether it was."""


class Jobs(Protocol):
    """Commands that run once, beside the app."""

    async def run(self, target: Target, image: str, command: list[str], env: dict[str, str], timeout: float) -> str:
        """Run ``command`` once in ``image`` (a reference) beside the app, and return its output's end.

        Raises :class:`~release_pipelines.core.errors.CommandEnded` with the last lines when it exits with anything but 0 or takes longer
        than ``timeout`` s, and :class:`PlatformError` when it cannot be run.
        """


class Probes(Protocol):
    """Reading and checking, without changes."""

    async def check(self, target: Target) -> None:
        """Raise with one sentence unless the platform and its router are reachable and all needed rights are there."""

    async def remarks(self, target: Target) -> list[str]:
        """What stands already and a release neither carries along nor is refused for, a sentence each: preflight tells it."""
        return []

    async def check_traffic(self, target: Target, splits: Sequence[Traffic]) -> None:
        """Raise with one sentence when the route, as it stands, could not take one of the splits that a release will ask for."""
        return

    async def observe(self, target: Target) -> Observed:
        """What runs, ready or not and why; weights as the router has them; note and lease."""

    async def usage(self, target: Target, track: Track) -> Usage | None:
        """CPU and memory as the engine itself reports them; None where Prometheus has them instead."""

    async def ask(self, target: Target, track: Track, path: str) -> Answer:
        """GET ``path`` from a ready replica of ``track`` itself, past the traffic's weights.

        Raises :class:`PlatformError` when the track has no ready replica, or it gives no answer.
        """


class Platform(Workloads, TrafficSplit, Leases, Jobs, Probes, Protocol):
    """A place where versions of an app run side by side and share traffic by weight.

    Every call is idempotent: calling it again when its effect stands changes nothing. Calls with a ``fence``
    raise :class:`FenceLost` when the lease has a newer one. All raise :class:`PlatformUnavailable` or
    :class:`Forbidden` where the platform cannot be reached or refuses.
    """

    async def __aenter__(self) -> Platform: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


async def check_traffic(platform: Platform, target: Target, splits: Sequence[Traffic]) -> None:
    """:meth:`Probes.check_traffic`, of a platform of another package only where that has it."""
    check = getattr(platform, "check_traffic", None)
    if check is not None:
        await check(target, splits)


@dataclass(frozen=True)
class Connections:
    """The connections that a target names."""

    platform: Connection
    registry: Connection
    kubernetes_client: Callable[[], AbstractAsyncContextManager[Any]]
    """Opens an API client (``kubernetes_asyncio``) of the cluster that the platform's connection describes."""
    reread_registry: Callable[[], Awaitable[Connection]] | None = None
    """The registry's connection as it is now: what lasts for hours outlives a password. None: nothing here does."""

    @property
    def registry_auth(self) -> dict[str, str] | None:
        """Credentials for the registry, as engines and clusters want them; None for an open one."""
        return _auth(self.registry)

    async def registry_auth_now(self) -> dict[str, str] | None:
        """The same as they are now."""
        return _auth(await self.reread_registry() if self.reread_registry else self.registry)


def _auth(registry: Connection) -> dict[str, str] | None:
    if not registry.login:
        return None
    from release_pipelines.core.address import registry_host

    server = registry_host(registry)
    return {"serveraddress": server, "username": registry.login, "password": registry.password or ""}


RegistryAuth = Callable[[], Awaitable[dict[str, str] | None]]
"""Credentials for the registry as they are now."""


@runtime_checkable
class PlatformKind(Protocol):
    """One kind of platform: what fits it, what it needs, and how to open it. All but :meth:`open` has a default."""

    preview_needs_host: bool = False
    """A preview can be asked under a host of its own only, which the environment's ``address`` has to give."""

    def fits(self, router: Router) -> bool:
        """Whether the router works here."""
        raise NotImplementedError

    def open(self, target: Target, connections: Connections) -> Platform:
        """The platform of a target; nothing is asked before it is entered."""
        raise NotImplementedError


PLATFORMS: Seam[PlatformKind] = Seam("platform", "release_pipelines.adapters.platforms", PlatformKind)
