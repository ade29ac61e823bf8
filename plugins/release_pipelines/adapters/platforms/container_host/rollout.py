"""What to do next on a track, as a pure function of what runs, what is wanted and who gets traffic."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.target import Update, batch_size
from release_pipelines.core.model.track import Track

HEARD_SECONDS = 2.0
"""Maximum time until the router has taken up a change, in seconds: Traefik as it is delivered does so every two seconds."""
DRAIN_SECONDS = 1.0
"""Time for which a replica keeps running after the router sends it nothing more, in seconds: requests are still on their way."""
LIVING = ("running", "paused")
FRESH = ("created", "configured", "initialized")
"""States of a container that has not run yet, or not since the machine was started."""
LOST = "lost"
"""State of a container that the engine takes for running, and that nobody reaches: what watched its process for the engine has
ended with it, or the host leads its port elsewhere."""
STOPPED_FROM_OUTSIDE = (0, 137, 143)
"""Exit codes of a process that was told to end or was killed: it says nothing about the version."""


@dataclass(frozen=True)
class Want:
    """What a track shall run."""

    digest: str
    version: str
    image: str
    replicas: int
    progress_at: float
    """Unix time of the last replica that joined or left: ``ready_timeout`` counts from here."""
    share: int = 100
    """Percent of the replicas that are replaced for now."""
    workload: dict[str, Any] | None = None
    """The configuration that the replicas run with; None: the target's."""
    settled: bool = False
    """All replicas were ready once: a replica that ends now had worked."""
    failure: str | None = None

    @property
    def upto(self) -> int:
        """Replicas that run the wanted version when this is done; at least one."""
        return batch_size(self.replicas, self.share)

    @property
    def reference(self) -> str:
        """The image by digest."""
        return f"{self.image}@{self.digest}"


@dataclass(frozen=True)
class Replica:
    """One container of a track."""

    id: str
    name: str
    digest: str
    number: int
    state: str
    url: str | None = None
    trouble: str | None = None
    """Why it is not ready; None: its health path answers 2xx."""
    listed: bool = False
    """The router sends requests to it."""
    left_at: float | None = None
    """Unix time at which it was taken off the router's list."""
    version: str = ""
    image: str | None = None
    """Repository of its image, where the engine says it."""
    created_at: float = 0.0
    """Unix time."""
    exit_code: int | None = None
    """Of a replica that has ended, where it was asked for."""
    out_of_memory: bool = False

    @property
    def ended(self) -> bool:
        """Whether its process has ended."""
        return self.state in ("exited", "stopped", "dead", "removing")

    @property
    def killed(self) -> bool:
        """Whether it was ended by somebody else: a person, or the engine's or the machine's end."""
        return self.ended and not self.out_of_memory and self.exit_code in STOPPED_FROM_OUTSIDE

    @property
    def ready(self) -> bool:
        """Whether it runs, is healthy and is not on its way out."""
        return self.state == "running" and self.trouble is None and self.left_at is None


@dataclass(frozen=True)
class Plan:
    """One small step."""

    create: list[int] = field(default_factory=list)
    start: list[Replica] = field(default_factory=list)
    join: list[Replica] = field(default_factory=list)
    leave: list[Replica] = field(default_factory=list)
    stop: list[Replica] = field(default_factory=list)
    """Drained, or ended and not needed: SIGTERM, then remove."""


def plan(
    want: Want,
    replicas: list[Replica],
    now: float,
    surge: int = 1,
    unavailable: int = 0,
    drain: float = DRAIN_SECONDS,
) -> Plan:
    """The next step of a rolling update: ``surge`` more replicas than wanted at most, ``unavailable`` fewer ready at most.

    :param want: what shall run, and on how many replicas for now.
    :param replicas: what runs on the track, in any version.
    :param now: Unix time.
    :param drain: seconds between leaving the router's list and SIGTERM.
    """
    lost = [r for r in replicas if r.state == LOST]  # cannot be started again: another one takes its place
    replicas = [r for r in replicas if r not in lost]
    new = [r for r in replicas if is_wanted(want, r) and r.left_at is None]
    old = [r for r in replicas if not is_wanted(want, r) and r.left_at is None]
    staying = [r for r in old if not r.ended]
    numbers = {r.number for r in replicas if is_wanted(want, r)}
    missing = [number for number in range(want.upto) if number not in numbers]
    room = want.replicas + (surge if staying else 0) - len(new) - len(staying)
    joined = [r for r in new if r.ready and r.listed]
    serving = [r for r in staying if r.ready and r.listed]
    lame = sorted((r for r in staying if r not in serving), key=lambda r: r.listed)
    shall_stay = want.replicas - want.upto
    too_many = max(0, len(staying) - shall_stay)
    ended = [r for r in old if r.ended]
    needed, useless = ended[: max(0, shall_stay - len(staying))], ended[max(0, shall_stay - len(staying)) :]
    leave = [r for r in useless if r.listed]
    if too_many and lame and (joined or not lame[0].listed or (missing and room <= 0)):
        leave.append(lame[0])
    else:
        spare = len(joined) + len(serving) - (want.replicas - unavailable)
        leave += serving[: max(0, min(too_many, spare))]
    # An ended replica starts where it stood: at its own address, and not before the router has stopped sending to it.
    again = [r for r in new if r.ended and not r.listed and (want.settled or r.killed)]
    again += [r for r in needed if not r.listed]
    back = [r for r in staying if r.ready and not r.listed][: max(0, shall_stay - len(serving))]
    drained = [r for r in replicas if r.left_at is not None and now - r.left_at >= drain]
    return Plan(
        create=missing[: max(0, room)],
        start=[
            *(r for r in new if r.state in FRESH),
            *(r for r in staying if r.state in FRESH and not too_many),
            *again,
        ],
        join=[*(r for r in new if r.ready and not r.listed), *(r for r in back if r not in leave)],
        leave=[*leave, *lost],  # its end is no verdict then
        stop=[*drained, *(r for r in useless if not r.listed), *lost],
    )


def upkeep(want: Want, track: Track, replicas: list[Replica], now: float, *, watched: bool) -> Plan:
    """What brings back replicas that are gone, without rolling anything out.

    :param watched: a release changes and judges the app: it rolls out itself, and a new version that ends by itself is its verdict.
    """
    if want.failure or (watched and not want.settled):
        return Plan()
    todo = plan(want, replicas, now, drain=HEARD_SECONDS + DRAIN_SECONDS)
    if not want.settled:
        ended = [r for r in replicas if is_wanted(want, r) and r.ended and not r.listed and r.left_at is None]
        return Plan(start=[*(r for r in todo.start if r not in ended), *ended], join=todo.join)
    if not watched or track == "stable":
        return todo
    return replace(todo, start=[r for r in todo.start if r.killed or not r.ended])


def served(servers: list[str], replicas: list[Replica], todo: Plan) -> list[str]:
    """The router's list as it shall be: without what is gone or leaves, with what joins."""
    staying = {r.url for r in replicas if r.state in LIVING and r.left_at is None and r not in todo.leave}
    return [url for url in servers if url in staying] + [r.url for r in todo.join if r.url and r.url not in servers]


def room_for(replicas: int, update: Update | None) -> tuple[int, int]:
    """How many replicas more, and how many fewer, a rolling update may have."""
    return (update or Update()).room(replicas)


def is_wanted(want: Want | None, replica: Replica) -> bool:
    """Whether the replica is one of those that shall run."""
    return want is not None and replica.digest == want.digest and replica.number < want.upto


def settled(want: Want, replicas: list[Replica]) -> bool:
    """Whether all wanted replicas are ready with traffic possible, and no more than the others that stay are left."""
    others = [r for r in replicas if not is_wanted(want, r)]
    staying = [r for r in others if not r.ended and r.left_at is None]
    return updated(want, replicas) == want.upto and len(others) == len(staying) <= want.replicas - want.upto


def updated(want: Want, replicas: list[Replica]) -> int:
    """Ready replicas of the wanted version."""
    return sum(is_wanted(want, r) and r.ready and r.listed for r in replicas)


def broken(want: Want, replicas: list[Replica], track: Track) -> list[Replica]:
    """Replicas of the wanted version that have ended, and should not have.

    One that ends later on a stable that was settled is replaced instead; on a canary it is a verdict. One that was killed is
    replaced as long as others of the version are ready.
    """
    if want.settled and track == "stable":
        return []
    some_ready = any(is_wanted(want, r) and r.ready for r in replicas)
    ended = [r for r in replicas if is_wanted(want, r) and r.ended and r.left_at is None]
    return [r for r in ended if not (some_ready and r.killed)]


def late(want: Want, now: float, ready_timeout: float) -> bool:
    """Whether a rollout has made no progress for ``ready_timeout`` seconds."""
    return not want.settled and now - want.progress_at > ready_timeout


def status(track: Track, want: Want | None, replicas: list[Replica]) -> TrackStatus:
    """How the track stands."""
    ready = sum(r.ready and r.listed for r in replicas)
    if want is None:
        return _unstated(track, replicas, ready)
    done = settled(want, replicas)
    return TrackStatus(
        track=track,
        digest=want.digest,
        version=want.version,
        image=want.image,
        wanted=want.replicas,
        ready=ready,
        updated=updated(want, replicas),
        settled=done,
        failure=want.failure,
        waiting=None if done or want.failure else waiting(want, replicas),
    )


def _unstated(track: Track, replicas: list[Replica], ready: int) -> TrackStatus:
    """A track of which the store says nothing. What runs on stable is stable all the same: a store may have lost what it knew."""
    staying = [r for r in replicas if not r.ended and r.left_at is None]
    if track != "stable" or not staying:
        return TrackStatus(track=track, ready=ready, settled=not replicas)
    newest = max(staying, key=lambda it: it.created_at)
    return TrackStatus(
        track=track,
        digest=newest.digest or None,
        version=newest.version or None,
        image=newest.image,
        wanted=len(staying),
        ready=ready,
        waiting="the state store does not know what has to run here.",
    )


def waiting(want: Want, replicas: list[Replica]) -> str:
    """What a track that is not settled waits for."""
    new = [r for r in replicas if is_wanted(want, r)]
    for replica in new:
        if replica.ended:
            return f"{replica.name} has ended and is to be replaced."
        if replica.trouble:
            return f"{replica.name} {replica.trouble}."
    if len(new) < want.upto:
        return f"{len(new)} of {want.upto} replicas of {want.version} are started."
    old = len(replicas) - len(new)
    return (
        f"{old} old replica{'s are' if old > 1 else ' is'} being drained."
        if old
        else "The router is told of the replicas."
    )
