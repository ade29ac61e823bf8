"""A platform and a Prometheus in memory, as faithful as what they stand for: fences, leases, weights, readiness."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiohttp import web

from release_pipelines.adapters.metrics.sources._counters import LABEL
from release_pipelines.core.errors import CommandEnded, FenceLost, LeaseHeld, PlatformError
from release_pipelines.core.guard import refuse_unready
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Answer, Observed, TrackStatus, Usage
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.target import RouterSettings, Target, Workload
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Traffic

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
        workload=Workload(name="shop", replicas=2, ready_timeout=5),
        router=RouterSettings(route="shop"),
        url="http://127.0.0.1:1",
    )


class World:
    """What runs of one app in one environment. Outlives every platform object, as a cluster does.

    ``writes`` holds every accepted change in order; ``broken`` maps digests to why they never become ready; tracks in ``slow``
    get no further ready replica; a command that is run takes ``run_seconds``,
    prints ``printed`` and ends with ``exit_code``, and stands in ``ran``; ``before`` is called with the name of each platform call before it has an effect, ``after`` when it had.
    """

    def __init__(self) -> None:
        self.tracks: dict[Track, TrackStatus] = {}
        self.shares: dict[Track, int] = {}
        self.route: Route | None = None
        self.lease: Lease | None = None
        self.fence = 0
        self.writes: list[tuple[str, Any]] = []
        self.calls: list[str] = []
        self.broken: dict[str, str] = {}
        self.slow: set[Track] = set()
        self.run_seconds = 0.0
        self.printed, self.exit_code = "1 passed", 0
        self.ran: list[tuple[str, list[str], dict[str, str]]] = []
        self.usage: Usage | None = None
        self.before: Callable[[str], None] = lambda call: None
        self.after: Callable[[str], None] = lambda call: None

    @property
    def weight(self) -> int:
        """The canary's share of the traffic."""
        return self.route.traffic.weight("canary") if self.route else 0

    @property
    def note(self) -> RouteNote:
        """What is kept with the route."""
        return self.route.note if self.route else RouteNote()

    def runs(self, track: Track, it: Artifact, replicas: int = 2) -> None:
        """Let a track run an artifact, ready."""
        self.tracks[track] = TrackStatus(
            track=track,
            digest=it.digest,
            version=it.version,
            wanted=replicas,
            ready=replicas,
            updated=replicas,
            settled=True,
        )
        self.shares[track] = 100

    def drift(self, canary_weight: int, who: str = "argocd") -> None:
        """Somebody else changes the weights and leaves the note as it is."""
        assert self.route
        traffic = Traffic(weights={"stable": 100 - canary_weight, "canary": canary_weight})
        self.route = self.route.model_copy(update={"traffic": traffic, "changed_by": who})

    def breaks(self, track: Track, why: str | None = None) -> None:
        """Let a track lose all of its replicas."""
        self.tracks[track] = self.tracks[track].model_copy(
            update={"ready": 0, "updated": 0, "settled": False, "failure": why}
        )

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
        self._called("deploy")
        self._fenced(fence)
        now = self.world.tracks.get(track, TrackStatus(track=track))
        wanted = replicas or now.wanted or target.workload.replicas
        if now.digest == artifact.digest and now.wanted == wanted and self.world.shares.get(track) == share:
            return False
        update: dict[str, Any] = {"wanted": wanted, "settled": False, "failure": None}
        if now.digest != artifact.digest:
            update |= {"digest": artifact.digest, "version": artifact.version, "updated": 0}
            update |= {} if track == "stable" else {"ready": 0}
        self.world.tracks[track] = now.model_copy(update=update)
        self.world.shares[track] = share
        return self._wrote("deploy", (track, artifact.digest, wanted))

    async def advance(self, target: Target, track: Track, fence: int) -> TrackStatus:
        self._called("advance")
        self._fenced(fence)
        now = self.world.tracks.get(track, TrackStatus(track=track))
        failure = self.world.broken.get(now.digest or "")
        if failure:
            now = now.model_copy(update={"ready": 0 if track != "stable" else now.ready, "failure": failure})
        elif not now.settled and track not in self.world.slow:
            # One replica at a time, as a rolling update goes, and no further than its share.
            upto = -(-now.wanted * self.world.shares.get(track, 100) // 100)
            updated = min(upto, now.updated + 1)
            ready = max(updated, now.ready) if track == "stable" else updated
            settled = updated == upto
            now = now.model_copy(
                update={"ready": min(now.wanted, ready), "updated": updated, "settled": settled, "failure": None}
            )
        self.world.tracks[track] = now
        self.world.after("advance")
        return now

    async def divert(self, target: Target, fence: int) -> bool:
        self._called("divert")
        self._fenced(fence)
        return self._wrote("divert", fence)

    async def split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        self._called("split")
        self._fenced(fence)

        async def is_ready(track: Track) -> bool:
            return track in self.world.tracks and self.world.tracks[track].ready > 0

        await refuse_unready(target, traffic, self.world.route.traffic if self.world.route else None, is_ready)
        kept = RouteNote.model_validate_json(note.model_dump_json())  # it is text where others keep it
        route = Route(traffic=traffic, fence=fence, note=kept)
        if route == self.world.route:
            return False
        self.world.route = route
        return self._wrote("split", (traffic, note))

    async def retire(self, target: Target, track: Track, fence: int) -> bool:
        self._called("retire")
        self._fenced(fence)
        traffic = self.world.route.traffic if self.world.route else ALL_TO_STABLE
        if traffic.weight(track) or (track == "canary" and (traffic.testers or traffic.mirror)):
            raise PlatformError(f"{track} still has traffic.")
        if track not in BESIDE:
            raise PlatformError("Stable is not retired.")
        if self.world.tracks.pop(track, None) is None:
            return False
        return self._wrote("retire", track)

    async def ask(self, target: Target, track: Track, path: str) -> Answer:
        self._called("ask")
        status = self.world.tracks.get(track)
        if status is None or not status.ready:
            raise PlatformError(f"{track} has no ready replica to ask.")
        return Answer(status=200, version=status.version)

    async def take_lease(
        self, target: Target, holder: str, ttl: float, *, force: bool = False, expired: Lease | None = None
    ) -> Lease:
        self._called("take_lease")
        held, now = self.world.lease, time.time()
        over = held and (held.expires_at <= now if held.seconds is None else held == expired)
        if held and held.holder != holder and not over and not force:
            raise LeaseHeld(f"{target.app} in {target.environment} is being changed by {held.holder}.")
        if held is None or held.holder != holder or (expired is not None and expired.holder == holder):
            self.world.fence += 1
        lease = Lease(holder=holder, fence=self.world.fence, expires_at=now + ttl)
        self.world.lease = lease
        if self.world.route:
            self.world.route = self.world.route.model_copy(update={"fence": lease.fence})
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

    async def run(self, target: Target, image: str, command: list[str], env: dict[str, str], timeout: float) -> str:
        self._called("run")
        self.world.ran.append((image, command, env))
        try:
            await asyncio.wait_for(asyncio.sleep(self.world.run_seconds), timeout)
        except asyncio.TimeoutError:
            raise CommandEnded(f"{command} took longer than {timeout:g} s.", self.world.printed, None) from None
        if self.world.exit_code:
            raise CommandEnded(f"{command} ended.", self.world.printed, self.world.exit_code)
        return self.world.printed


def counters_in(promql: str) -> list[tuple[str, str]]:
    """The selectors in a question for several raw counters, each with the name of its counter."""
    return re.findall(rf'label_replace\((.*?), "{LABEL}", "(.*?)"', promql)


class FakePrometheus:
    """A local HTTP service that answers instant queries and ranges of raw counters: by default no errors in many requests.

    :param bad: share of bad events on the canary. ``total``: events in a window; None: no series at all. ``rate``: events a
        second by which raw counters grow.
    """

    def __init__(self, bad: float = 0.0, total: float | None = 1000.0) -> None:
        self.bad = bad
        self.total = total
        self.rate = 4000.0
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
        app.router.add_route("*", "/api/v1/query_range", self._range)

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        await self._runner.cleanup()

    async def _asked(self, request: web.Request, key: str) -> tuple[dict[str, str], str]:
        given = {name: str(text) for name, text in (await request.post()).items()} or dict(request.query)
        self.asked.append((given["query"], float(given.get(key, 0))))
        self.answered(given["query"])
        return given, given["query"]

    async def _answer(self, request: web.Request) -> web.Response:
        given, query = await self._asked(request, "time")
        if self.away:
            return web.Response(status=503, text="upstream connect error")
        value = self._value(query)
        result = [] if value is None else [{"metric": {}, "value": [float(given.get("time", 0)), str(value)]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async def _range(self, request: web.Request) -> web.Response:
        """Counters that grow from the Unix epoch of 2026 on: exact at every moment that is asked for."""
        given, query = await self._asked(request, "end")
        if self.away:
            return web.Response(status=503, text="upstream connect error")
        start, step = float(given["start"]), float(given["step"])
        moments = [start + n * step for n in range(round((float(given["end"]) - start) / step) + 1)]
        result = [
            {
                "metric": {LABEL: counter},
                "values": [[at, str(round(self._share(text) * self.rate * (at - 1_767_225_600)))] for at in moments],
            }
            for text, counter in counters_in(query)
            if self.total is not None
        ]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    def _value(self, query: str) -> float | None:
        return None if self.total is None else self._share(query) * self.total

    def _share(self, query: str) -> float:
        """Of all events, those that the query counts: bad ones (or all but the slow ones) of the new version, or all."""
        bad = self.bad if self.is_new(query) else 0.0
        if "_bucket" in query and "clamp_min" not in query:
            return 1 - bad
        return bad if "5.." in query or "clamp_min" in query or query.startswith("bad") else 1.0

    def is_new(self, query: str) -> bool:
        """Whether the query asks about the new version."""
        return "canary" in query or "preview" in query
