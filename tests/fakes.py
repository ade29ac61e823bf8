"""A platform and a Prometheus in memory, as faithful as what they stand for: fences, leases, weights, readiness."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiohttp import web

from release_pipelines.domain.values import (
    Artifact,
    Lease,
    Observed,
    Route,
    RouteNote,
    Target,
    Track,
    TrackStatus,
    Usage,
)
from release_pipelines.platforms.base import FenceLost, LeaseHeld, PlatformError
from release_pipelines.spec.models import RouterSpec, WorkloadSpec

GOOD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def artifact(version: str = "1.1.0", digest: str = NEW) -> Artifact:
    """An artifact of the app ``shop``."""
    return Artifact(app="shop", version=version, image="registry.example/shop", digest=digest)


def target(prometheus: str = "prometheus", environment: str = "production") -> Target:
    """The app ``shop`` in an environment of a container host."""
    return Target(
        app="shop",
        environment=environment,
        platform="container_host",
        platform_connection="platform",
        registry_connection="registry",
        prometheus_connection=prometheus,
        workload=WorkloadSpec(name="shop", replicas=2, ready_timeout=5),
        router=RouterSpec(route="shop"),
        url="http://127.0.0.1:1",
    )


class World:
    """What runs of one app in one environment. Outlives every platform object, as a cluster does.

    ``writes`` holds every accepted change in order; ``broken`` maps digests to why they never become ready; ``before``
    is called with the name of each platform call before it has an effect, ``after`` when it had.
    """

    def __init__(self) -> None:
        self.tracks: dict[Track, TrackStatus] = {}
        self.route: Route | None = None
        self.lease: Lease | None = None
        self.fence = 0
        self.writes: list[tuple[str, Any]] = []
        self.calls: list[str] = []
        self.broken: dict[str, str] = {}
        self.usage: Usage | None = None
        self.before: Callable[[str], None] = lambda call: None
        self.after: Callable[[str], None] = lambda call: None

    @property
    def weight(self) -> int:
        """The canary's share of the traffic."""
        return self.route.weights.get("canary", 0) if self.route else 0

    @property
    def note(self) -> RouteNote:
        """What is kept with the route."""
        return self.route.note if self.route else RouteNote()

    def runs(self, track: Track, it: Artifact, replicas: int = 2) -> None:
        """Let a track run an artifact, ready."""
        self.tracks[track] = TrackStatus(
            track=track, digest=it.digest, version=it.version, wanted=replicas, ready=replicas, settled=True
        )

    def drift(self, canary_weight: int, who: str = "argocd") -> None:
        """Somebody else changes the weights and leaves the note as it is."""
        assert self.route
        weights: dict[Track, int] = {"stable": 100 - canary_weight, "canary": canary_weight}
        self.route = self.route.model_copy(update={"weights": weights, "changed_by": who})

    def breaks(self, track: Track, why: str | None = None) -> None:
        """Let a track lose all of its replicas."""
        self.tracks[track] = self.tracks[track].model_copy(update={"ready": 0, "settled": False, "failure": why})

    def platform(self) -> FakePlatform:
        """A client of this world."""
        return FakePlatform(self)


class FakePlatform:
    """The platform protocol over a :class:`World`."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def __aenter__(self) -> FakePlatform:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _called(self, call: str) -> None:
        self.world.calls.append(call)
        self.world.before(call)

    def _wrote(self, call: str, what: Any) -> bool:
        self.world.writes.append((call, what))
        self.world.after(call)
        return True

    def _fenced(self, fence: int) -> None:
        if self.world.fence != fence or self.world.lease is None:
            raise FenceLost(f"Fence {fence} has been overtaken by {self.world.fence}.")

    async def check(self, target: Target) -> None:
        self._called("check")

    async def observe(self, target: Target) -> Observed:
        self._called("observe")
        world = self.world
        return Observed(tracks=dict(world.tracks), route=world.route, lease=world.lease)

    async def deploy(self, target: Target, track: Track, artifact: Artifact, replicas: int | None, fence: int) -> bool:
        self._called("deploy")
        self._fenced(fence)
        now = self.world.tracks.get(track, TrackStatus(track=track))
        wanted = replicas or now.wanted or target.workload.replicas
        if now.digest == artifact.digest and now.wanted == wanted:
            return False
        self.world.tracks[track] = now.model_copy(
            update={"digest": artifact.digest, "version": artifact.version, "wanted": wanted, "settled": False}
        )
        return self._wrote("deploy", (track, artifact.digest, wanted))

    async def advance(self, target: Target, track: Track, fence: int) -> TrackStatus:
        self._called("advance")
        self._fenced(fence)
        now = self.world.tracks.get(track, TrackStatus(track=track))
        failure = self.world.broken.get(now.digest or "")
        if failure:
            now = now.model_copy(update={"ready": 0 if track == "canary" else now.ready, "failure": failure})
        elif not now.settled:
            # One replica at a time, as a rolling update goes.
            ready = min(now.wanted, now.ready + 1)
            now = now.model_copy(update={"ready": ready, "settled": ready == now.wanted, "failure": None})
        self.world.tracks[track] = now
        self.world.after("advance")
        return now

    async def split(self, target: Target, canary_weight: int, note: RouteNote, fence: int) -> bool:
        self._called("split")
        self._fenced(fence)
        for track, weight in (("canary", canary_weight), ("stable", 100 - canary_weight)):
            ready = self.world.tracks[track].ready if track in self.world.tracks else 0  # type: ignore[index]
            raised = weight and (not self.world.route or weight > self.world.route.weights.get(track, 0))  # type: ignore[call-overload]
            if raised and not ready:
                raise PlatformError(f"{track} has no ready replica: it gets no traffic.")
        route = Route(weights={"stable": 100 - canary_weight, "canary": canary_weight}, fence=fence, note=note)
        if route == self.world.route:
            return False
        self.world.route = route
        return self._wrote("split", (canary_weight, note))

    async def retire(self, target: Target, track: Track, fence: int) -> bool:
        self._called("retire")
        self._fenced(fence)
        if self.world.route and self.world.route.weights.get(track, 0):
            raise PlatformError(f"{track} still has traffic.")
        if self.world.tracks.pop(track, None) is None:
            return False
        return self._wrote("retire", track)

    async def take_lease(self, target: Target, holder: str, ttl: float, *, force: bool = False) -> Lease:
        self._called("take_lease")
        held, now = self.world.lease, time.time()
        if held and held.holder != holder and held.expires_at > now and not force:
            raise LeaseHeld(f"{target.app} in {target.environment} is being changed by {held.holder}.")
        if held is None or held.holder != holder:
            self.world.fence += 1
        lease = Lease(holder=holder, fence=self.world.fence, expires_at=now + ttl)
        self.world.lease = lease
        self._wrote("take_lease", holder)
        return lease

    async def renew_lease(self, target: Target, lease: Lease, ttl: float) -> Lease:
        self._called("renew_lease")
        if self.world.lease is None or self.world.lease.fence != lease.fence:
            raise FenceLost("The lease is not this one any more.")
        self.world.lease = lease.model_copy(update={"expires_at": time.time() + ttl})
        return self.world.lease

    async def give_back_lease(self, target: Target, lease: Lease) -> bool:
        self._called("give_back_lease")
        if self.world.lease is None or self.world.lease.fence != lease.fence:
            return False
        self.world.lease = None
        return self._wrote("give_back_lease", lease.holder)

    async def usage(self, target: Target, track: Track) -> Usage | None:
        self._called("usage")
        return self.world.usage

    async def run(
        self, target: Target, artifact: Artifact, command: list[str], env: dict[str, str], timeout: float
    ) -> str:
        self._called("run")
        return "1 passed"


class FakePrometheus:
    """A local HTTP service that answers instant queries: by default no errors in many requests on each track.

    :param bad: share of bad events on the canary. ``total``: events in a window; None: no series at all.
    """

    def __init__(self, bad: float = 0.0, total: float | None = 1000.0) -> None:
        self.bad = bad
        self.total = total
        self.away = False
        self.asked: list[tuple[str, float]] = []
        self.answered: Callable[[str], None] = lambda query: None
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> FakePrometheus:
        app = web.Application()
        self.routes(app)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    def routes(self, app: web.Application) -> None:
        """What it answers."""
        app.router.add_route("*", "/api/v1/query", self._answer)

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        given = await request.post() if request.method == "POST" else request.query
        query, at = str(given["query"]), float(str(given.get("time", 0)))
        self.asked.append((query, at))
        self.answered(query)
        if self.away:
            return web.Response(status=503, text="upstream connect error")
        value = self._value(query)
        result = [] if value is None else [{"metric": {}, "value": [at, str(value)]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    def _value(self, query: str) -> float | None:
        if self.total is None:
            return None
        canary = "canary" in query
        is_bad = "5.." in query or "clamp_min" in query or query.startswith("bad")
        return (self.bad if canary else 0.0) * self.total if is_bad else self.total
