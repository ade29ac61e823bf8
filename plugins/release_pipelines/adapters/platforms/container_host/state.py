"""What is wanted, how traffic is split, and who may write: in the Valkey that Traefik reads as well."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlsplit

from release_pipelines.adapters.platforms.container_host import scripts
from release_pipelines.adapters.platforms.container_host.rollout import Replica, Want
from release_pipelines.core.errors import FenceLost, Forbidden, LeaseHeld, PlatformError, PlatformUnavailable
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Match, Traffic

TRACKS: tuple[Track, ...] = get_args(Track)
ROOT = "traefik/http"
STICKY_COOKIE = "release-track"


def route_name(target: Target) -> str:
    """Name of the router and of the weighted service; track services add ``-<track>``."""
    return f"{target.app}-{target.environment}"


def _key(target: Target) -> str:
    return f"release-pipelines/{target.app}/{target.environment}"


def _service(target: Target, track: Track | None = None) -> str:
    return f"{ROOT}/services/{route_name(target)}" + (f"-{track}" if track else "")


@dataclass(frozen=True)
class Seen:
    """One look at all of an app's state."""

    now: float
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
        except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
            raise Forbidden(f"The state store at {self.where} refuses these credentials: {error}") from error
        except (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError, OSError) as error:
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

    async def _run(self, script: str, target: Target, *arguments: Any) -> list[str]:
        async with self._connected() as client:
            answer: list[str] = await client.eval(script, 1, _key(target), *arguments)
        if answer[0] == "fence":
            raise fence_lost(target, answer[1])
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

    async def look(self, target: Target) -> Seen:
        """All of the app's state, read at one moment."""
        async with self._connected() as client:
            seen = json.loads(await client.eval(scripts.LOOK, 1, _key(target), _service(target), _router(target)))
        fields = seen["fields"] or {}
        lease = None
        if "holder" in fields:
            lease = Lease(holder=fields["holder"], fence=int(fields["fence"]), expires_at=float(fields["expires_at"]))
        return Seen(
            now=float(seen["now"]),
            wants={t: Want(**json.loads(fields[f"want:{t}"])) for t in TRACKS if f"want:{t}" in fields},
            servers={t: seen["servers"][t].split() for t in TRACKS},
            left={name[5:]: float(at) for name, at in fields.items() if name.startswith("left:")},
            route=_route(target, fields, seen),
            lease=lease,
        )

    async def take(self, target: Target, holder: str, ttl: float, force: bool) -> Lease:
        """Take the lease; raises LeaseHeld."""
        async with self._connected() as client:
            answer = await client.eval(scripts.TAKE, 1, _key(target), holder, ttl, int(force))
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

    async def want(self, target: Target, track: Track, want: dict[str, Any], fence: int, *, restore: bool) -> bool:
        """Write what a track shall run; returns whether that is news, or another try after a failure."""
        return await self._run(scripts.WANT, target, fence, track, json.dumps(want), int(restore)) == ["1"]

    async def give_address(self, target: Target, track: Track, host: str, fence: int) -> None:
        """Let the router send requests for ``host`` to the track, past the weights."""
        await self._run(
            scripts.ADDRESS, target, fence, f"{_router(target)}-{track}", _service(target, track),
            f"{route_name(target)}-{track}", f"Host(`{host}`)", target.workload.health,
        )  # fmt: skip

    async def note_want(self, target: Target, track: Track, want: Want, fence: int, **news: Any) -> None:
        """Add to what is known of a track, as long as it still shall run the same digest."""
        await self._run(scripts.NOTE_WANT, target, fence, track, want.digest, json.dumps(news))

    async def serve(
        self, target: Target, track: Track, before: list[str], after: list[str], leaving: list[Replica], fence: int
    ) -> None:
        """Change the track's servers from ``before`` to ``after``; nothing if somebody else changed them meanwhile."""
        await self._run(
            scripts.LIST, target, fence, _service(target, track), target.workload.health,
            " ".join(before), " ".join(after), " ".join(replica.id for replica in leaving), track,
        )  # fmt: skip

    async def forget(self, target: Target, container: str) -> None:
        """Drop the mark of a container that is gone, by id."""
        async with self._connected() as client:
            await client.hdel(_key(target), f"left:{container}")

    async def split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        """Write traffic, router and note in one step; returns whether anything changed."""
        to = {
            **_keys(target),
            "tracks": TRACKS,
            "weights": traffic.weights,
            "health": target.workload.health,
            "rule": _rule(target),
            "testers": _testers_rule(target, traffic.testers) if traffic.testers else "",
            "mirror": traffic.mirror,
            "cookie": STICKY_COOKIE if traffic.sticky else "",
        }
        said = traffic.model_dump_json(exclude_defaults=True)
        return await self._run(scripts.SPLIT, target, fence, json.dumps(to), said, note.model_dump_json()) == ["1"]

    async def retire(self, target: Target, track: Track, fence: int) -> tuple[bool, float]:
        """Forget a track without traffic: whether there was one, and the seconds since the traffic last changed."""
        what = {**_keys(target), "track": track, "index": TRACKS.index(track)}
        there, since = await self._run(scripts.RETIRE, target, fence, json.dumps(what))
        return there == "1", float(since)


def _keys(target: Target) -> dict[str, Any]:
    return {"routers": f"{ROOT}/routers", "services": f"{ROOT}/services", "name": route_name(target)}


def _router(target: Target) -> str:
    return f"{ROOT}/routers/{route_name(target)}"


def _rule(target: Target) -> str:
    return f"Host(`{target.host}`)" if target.host else "PathPrefix(`/`)"


def _testers_rule(target: Target, testers: Match) -> str:
    """Longer than the app's own rule, and therefore before it."""
    if testers.kind == "header":
        return f"{_rule(target)} && Header(`{testers.name}`, `{testers.value}`)"
    cookie = f"(^|;\\s*){re.escape(testers.name)}={re.escape(testers.value)}(;|$)"
    return f"{_rule(target)} && HeaderRegexp(`Cookie`, `{cookie}`)"


def fence_lost(target: Target, holder: str) -> FenceLost:
    """The error of a writer whose lease is ``holder``'s now, or nobody's (empty)."""
    return FenceLost(
        f"The lease of {target.app} in {target.environment} is {f'held by {holder}' if holder else 'free'} now: "
        "this release may not change anything any more."
    )


def _route(target: Target, fields: dict[str, str], seen: dict[str, Any]) -> Route | None:
    """The route as the router's own keys say it."""
    weights = seen["weights"] or {}
    shares: dict[Track, int] = {track: int(weights[track]) for track in TRACKS if track in weights}
    if not shares:
        return None
    written = _written(fields)
    testers = written.testers if written else None
    if testers is None or seen.get("testers") != _testers_rule(target, testers):
        testers = None
    mirrored = seen.get("sent") == f"{route_name(target)}-mirror"
    traffic = Traffic(
        weights=_of_hundred(shares),
        testers=testers,
        mirror=int(seen.get("mirror") or 0) if mirrored else 0,
        sticky=bool(seen.get("cookie")),
    )
    return Route(
        traffic=traffic,
        fence=int(fields.get("fence", 0)),
        note=RouteNote.model_validate_json(fields.get("note", "{}")),
        changed_by=None if traffic == written else "somebody",
    )


def _of_hundred(shares: dict[Track, int]) -> dict[Track, int]:
    """Weights as percent, whatever somebody else wrote; tracks without any are left out. All 0: nobody is answered."""
    total = sum(shares.values())
    if total == 0:
        return {"stable": 100}
    found: dict[Track, int] = {track: round(100 * share / total) for track, share in shares.items() if share}
    largest = max(found, key=lambda track: found[track])
    found[largest] += 100 - sum(found.values())
    return found


def _written(fields: dict[str, str]) -> Traffic | None:
    """What this package wrote last; an earlier version of it wrote the weights alone."""
    known = json.loads(fields.get("written", "null"))
    if known is None:
        return None
    known = known if "weights" in known else {"weights": known}
    return Traffic.model_validate({**known, "weights": {it: share for it, share in known["weights"].items() if share}})
