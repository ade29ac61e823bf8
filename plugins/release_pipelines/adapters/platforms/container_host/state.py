"""What is wanted, how traffic is split, and who may write: in the store that the router reads as well."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Protocol, cast, get_args
from urllib.parse import urlsplit

from release_pipelines.adapters.platforms.container_host import scripts
from release_pipelines.adapters.platforms.container_host.rivals import KEYS, KnownApp, Rival, rival_of
from release_pipelines.adapters.platforms.container_host.rollout import Replica, Want
from release_pipelines.core.errors import (
    CredentialsRefused,
    FenceLost,
    Forbidden,
    LeaseHeld,
    PlatformError,
    PlatformUnavailable,
)
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import Route, RouteNote, read_stored
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.core.ports.router import Router, router_of

TRACKS: tuple[Track, ...] = get_args(Track)
ADDRESSES = f"{KEYS}addresses"
"""Hash of all addresses of replicas: ``host:port`` → whose it is, and until when it stays reserved."""
NEW_SECONDS = 60.0
"""An address whose replica is not there yet is left alone for so long, in seconds."""
RESERVED_SECONDS = 600.0
"""An address that nobody uses any more is given to nobody else for so long, in seconds: a proxy may have it still."""


class StoreRouter(Router, Protocol):
    """A router that reads its configuration from the store: the platform's scripts change both at once."""

    script: str
    """Lua that defines the table ``router`` for the names in the table ``at``; see :mod:`scripts`."""

    def place(self, target: Target) -> dict[str, Any]:
        """The names of an app's keys in the store: ``at``; ``tracks`` among them."""

    def statement(self, target: Target, traffic: Traffic) -> dict[str, Any]:
        """A split, as the script's ``split`` takes it."""

    def address_rule(self, host: str) -> str:
        """What sends requests for a host to one track, as the script's ``address`` takes it."""

    def traffic(self, target: Target, keys: dict[str, Any], written: Traffic | None) -> Traffic | None:
        """The split as the script's ``look`` has read it; None where there is none.

        :param written: the split that was written last.
        """

    def namesakes(self, target: Target) -> list[tuple[str, str]]:
        """Apps and their environments that would have keys of the same names."""
        return []

    def rules(self, target: Target) -> list[str]:
        """What tells the app's requests from others', as the script's ``rivals`` takes it."""
        return []


def _router(target: Target) -> StoreRouter:
    return cast("StoreRouter", router_of(target.router))


def _key(target: Target) -> str:
    return f"{KEYS}{target.app}/{target.environment}"


def _asked(target: Target) -> str:
    """What a script needs to know of an app to find its rivals; a router of another package need not know any."""
    router = _router(target)
    namesakes, rules = getattr(router, "namesakes", None), getattr(router, "rules", None)
    apps = [f"{KEYS}{app}/{environment}" for app, environment in (namesakes(target) if namesakes else [])]
    return json.dumps({"apps": apps, "rules": rules(target) if rules else []})


@dataclass(frozen=True)
class AppState:
    """All of an app's state, as it was at one moment."""

    now: float
    """Unix time in seconds, by the store's clock."""
    wants: dict[Track, Want]
    servers: dict[Track, list[str]]
    """URLs that the router sends requests to, per track."""
    left: dict[str, float]
    """Ids of containers that were taken off the router's list, and when."""
    route: Route | None
    lease: Lease | None


class State:
    """The state of all apps, in one Valkey or Redis.

    :param url: ``redis://`` or ``rediss://`` URL; never shown in messages, as it may hold a password.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self.where = f"{parts.hostname or parts.path}:{parts.port or 6379}"
        self._client: Any = None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        from redis import asyncio as redis
        from redis import exceptions

        if self._client is None:
            self._client = redis.Redis.from_url(
                self._url, decode_responses=True, socket_timeout=5, socket_connect_timeout=5
            )
        try:
            yield self._client
        except exceptions.NoPermissionError as error:
            raise Forbidden(f"The state store at {self.where} refuses these credentials: {error}") from error
        except (exceptions.AuthenticationError, exceptions.AuthenticationWrongNumberOfArgsError) as error:
            raise CredentialsRefused(f"The state store at {self.where} refuses these credentials: {error}") from error
        except (
            exceptions.ConnectionError,
            exceptions.TimeoutError,
            exceptions.BusyLoadingError,
            exceptions.ReadOnlyError,  # a failover that is under way
            OSError,
        ) as error:
            raise PlatformUnavailable(
                f"The state store at {self.where} does not answer: {type(error).__name__}."
            ) from error
        except exceptions.RedisError as error:
            raise PlatformError(f"The state store at {self.where} refuses: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _routed(self, script: str, target: Target, fence: int, *arguments: Any) -> list[str]:
        """Run a script that also changes what the router reads."""
        router = _router(target)
        place = json.dumps(router.place(target))
        return await self._run(scripts.routed(router.script, script), target, fence, place, *arguments)

    async def _run(self, script: str, target: Target, *arguments: Any) -> list[str]:
        async with self._connected() as client:
            answer: list[str] = await client.eval(script, 1, _key(target), *arguments)
        if answer[0] == "fence":
            raise fence_lost(target, answer[1])
        if answer[0] == "rival":
            ((_, sentence),) = await self._said(target, answer[1:])
            raise PlatformError(sentence)
        if answer[0] == "busy":
            raise PlatformError(f"A track of {target.app} in {target.environment} still has {answer[1]}: it stays.")
        return answer[1:]

    async def check(self) -> None:
        """Raise with one sentence unless the store answers and tells Traefik of changes."""
        from redis import exceptions

        async with self._connected() as client:
            await client.ping()
            try:
                events = (await client.config_get("notify-keyspace-events")).get("notify-keyspace-events", "")
            except exceptions.ResponseError:
                return  # a managed store that does not show its configuration
        if "K" not in events or not ("A" in events or {"$", "g"} <= set(events)):
            raise PlatformError(
                f"The state store at {self.where} does not tell Traefik of changes: "
                f"`notify-keyspace-events KEA` is expected in its configuration, found {events!r}."
            )

    async def look(self, target: Target) -> AppState:
        """All of the app's state, read at one moment."""
        router = _router(target)
        script, place = scripts.routed(router.script, scripts.LOOK, fenced=False), json.dumps(router.place(target))
        async with self._connected() as client:
            state = json.loads(await client.eval(script, 1, _key(target), "", place))
        fields = state["fields"] or {}
        lease = None
        if "holder" in fields:
            lease = Lease(holder=fields["holder"], fence=int(fields["fence"]), expires_at=float(fields["expires_at"]))
        written = _written(target, fields)
        return AppState(
            now=float(state["now"]),
            wants={t: _want(fields[f"want:{t}"]) for t in TRACKS if f"want:{t}" in fields},
            servers={t: state["servers"][t].split() for t in TRACKS},
            left={name[5:]: float(at) for name, at in fields.items() if name.startswith("left:")},
            route=_route(target, fields, router.traffic(target, state["keys"], written), written),
            lease=lease,
        )

    async def take(self, target: Target, holder: str, ttl: float, force: bool, anew: bool = False) -> Lease:
        """Take the lease; raises LeaseHeld.

        :param anew: whether the fence rises for the same holder, too.
        """
        async with self._connected() as client:
            answer = await client.eval(scripts.TAKE, 1, _key(target), holder, ttl, int(force), int(anew))
        if answer[0] == "held":
            raise LeaseHeld(f"{target.app} in {target.environment} is being changed by {answer[1]}.")
        return Lease(holder=holder, fence=int(answer[1]), expires_at=float(answer[2]))

    async def renew(self, target: Target, lease: Lease, ttl: float) -> Lease:
        """Push the lease's expiry out."""
        (expires_at,) = await self._run(scripts.RENEW, target, lease.fence, ttl)
        return lease.model_copy(update={"expires_at": float(expires_at)})

    async def give_back(self, target: Target, lease: Lease) -> bool:
        """Free the lease; returns whether it was still this one."""
        try:
            await self._run(scripts.GIVE_BACK, target, lease.fence)
        except FenceLost:
            return False
        return True

    async def want(
        self, target: Target, track: Track, want: dict[str, Any], fence: int, *, restore: bool, engine: str = ""
    ) -> bool:
        """Write what a track shall run; returns whether that is news, or another try after a failure.

        :param engine: address of the engine that runs it.
        """
        arguments = (track, json.dumps(want), int(restore), engine, target.router.kind, _asked(target))
        return await self._routed(scripts.WANT, target, fence, *arguments) == ["1"]

    async def rivals(self, target: Target) -> list[tuple[Rival, str]]:
        """Who has what the app has or would have at the proxy, each with a sentence about it."""
        router = _router(target)
        script = scripts.routed(router.script, scripts.LOOK_AT_RIVALS, fenced=False)
        found = await self._run(script, target, "", json.dumps(router.place(target)), _asked(target))
        return await self._said(target, found)

    async def _said(self, target: Target, found: list[str]) -> list[tuple[Rival, str]]:
        rivals = [rival_of(it) for it in found]
        apps = await self.apps() if any(it.router for it in rivals) else []
        return [(it, it.sentence(target, apps)) for it in rivals]

    async def apps(self) -> list[KnownApp]:
        """All apps that were deployed, by name."""
        async with self._connected() as client:
            keys = sorted({key async for key in client.scan_iter(f"{KEYS}*/*", count=1000)})
            found = []
            for key in keys:
                app, environment = key.removeprefix(KEYS).split("/", 1)
                engine, router = await client.hmget(key, "engine", "router")
                found.append(KnownApp(app, environment, engine, router or "traefik"))
            return found

    async def reserve(self, target: Target, addresses: list[str]) -> str | None:
        """The first of the addresses that nobody has, or had a moment ago; None: there is none among them."""
        (address,) = await self._run(scripts.RESERVE, target, ADDRESSES, _key(target), " ".join(addresses))
        return address or None

    async def free_addresses(self, target: Target, used: set[str]) -> None:
        """Say which addresses the app uses; its others can be given to others after a while."""
        arguments = (ADDRESSES, _key(target), " ".join(used), NEW_SECONDS, RESERVED_SECONDS)
        await self._run(scripts.FREE, target, *arguments)

    async def give_address(self, target: Target, track: Track, host: str, fence: int) -> None:
        """Let the router send requests for ``host`` to the track, past the weights."""
        rule = _router(target).address_rule(host)
        await self._routed(scripts.ADDRESS, target, fence, track, rule, target.workload.health)

    async def note_want(self, target: Target, track: Track, want: Want, fence: int, **news: Any) -> None:
        """Add to what is known of a track, as long as it still shall run the same digest."""
        await self._run(scripts.NOTE_WANT, target, fence, track, want.digest, json.dumps(news))

    async def serve(
        self,
        target: Target,
        track: Track,
        want: Want | None,
        before: list[str],
        after: list[str],
        leaving: list[Replica],
        fence: int | None,
    ) -> None:
        """Change the track's servers from ``before`` to ``after``; nothing if somebody else changed them meanwhile.

        :param want: what the track shall run. Whoever has no lease (``fence`` None) changes nothing when it shall run something else.
        """
        health = target.workload.health if fence is not None else ""  # who has no lease leaves it as it is
        if want and want.workload:
            health = want.workload.get("health", health)
        leaving_ids = " ".join(replica.id for replica in leaving)
        servers = (track, health, " ".join(before), " ".join(after), leaving_ids)
        if fence is not None:
            await self._routed(scripts.SERVE, target, fence, *servers)
            return
        router = _router(target)
        script = scripts.routed(router.script, scripts.KEEP, fenced=False)
        await self._run(script, target, "", json.dumps(router.place(target)), *servers, want.digest if want else "")

    async def forget(self, target: Target, container: str) -> None:
        """Drop the mark of a container that is gone, by id."""
        async with self._connected() as client:
            await client.hdel(_key(target), f"left:{container}")

    async def split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        """Write traffic, router and note in one step; returns whether anything changed."""
        statement = json.dumps(_router(target).statement(target, traffic))
        written = traffic.model_dump_json(exclude_defaults=True)
        changed = await self._routed(scripts.SPLIT, target, fence, statement, written, note.model_dump_json())
        return changed == ["1"]

    async def retire(self, target: Target, track: Track, fence: int) -> tuple[bool, float]:
        """Forget a track without traffic: whether there was one, and the seconds since the traffic last changed."""
        there, since = await self._routed(scripts.RETIRE, target, fence, track)
        return there == "1", float(since)


def fence_lost(target: Target, holder: str) -> FenceLost:
    """The error of a writer whose lease is ``holder``'s now, or nobody's (empty)."""
    return FenceLost(
        f"The lease of {target.app} in {target.environment} is {f'held by {holder}' if holder else 'free'} now: "
        "this release may not change anything any more."
    )


def _noted(target: Target, field: str) -> str:
    return f"What a release of {target.app} has noted in field {field} of {_key(target)} in the state store"


def _route(target: Target, fields: dict[str, str], traffic: Traffic | None, written: Traffic | None) -> Route | None:
    """The route: the traffic as the router's own keys say it, and what is kept with it."""
    if traffic is None:
        return None
    return Route(
        traffic=traffic,
        fence=int(fields.get("fence", 0)),
        note=read_stored(RouteNote, fields.get("note", "{}"), _noted(target, "note")).of(target.app),
        changed_by=None if written is not None and traffic.same(written) else "somebody",
    )


def _written(target: Target, fields: dict[str, str]) -> Traffic | None:
    """What this package wrote last; an earlier version of it wrote the weights alone."""
    text = fields.get("written")
    if text is None:
        return None
    with suppress(ValueError):  # which reading it says in words
        known = json.loads(text)
        if isinstance(known, dict) and "weights" not in known:
            text = json.dumps({"weights": known})
    return read_stored(Traffic, text, _noted(target, "written"))


def _want(text: str) -> Want:
    """What a track shall run; of what another version of this package has added only that version knows what it means."""
    known = {it.name for it in dataclass_fields(Want)}
    return Want(**{key: it for key, it in json.loads(text).items() if key in known})
