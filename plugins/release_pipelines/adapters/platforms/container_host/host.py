"""One container host: the engine, the store and the replicas, as every part of the platform needs them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable
from dataclasses import replace
from types import TracebackType
from typing import TypeVar

from release_pipelines.adapters.platforms.container_host import rollout
from release_pipelines.adapters.platforms.container_host.engine import Container, Engine, EngineRefusal
from release_pipelines.adapters.platforms.container_host.replicas import (
    LABEL,
    NOT_SERVING,
    SERVING_TRIES,
    Prober,
    workload_of,
)
from release_pipelines.adapters.platforms.container_host.rollout import Replica, Want
from release_pipelines.adapters.platforms.container_host.state import TRACKS, AppState, State
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.target import Target, Workload
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.platform import RegistryAuth
from release_pipelines.core.progression.waiting import ended

log = logging.getLogger(__name__)
H = TypeVar("H", bound="Host")

LOG_LINES = 5
BEGIN_SECONDS = 10.0
"""A replica that is not ready after so long is asked at its own address, too, in seconds."""
TAKEN_FOR_RUNNING = ("running", "stopping")
NOTICED_SECONDS = 1.0
"""So long after a process has ended its engine may still take it for running."""


class Host:
    """Engine and store of one host; what is begun in the background ends with it.

    :param engine_url: address of a Docker-compatible engine: ``unix://``, ``tcp://``, ``http://`` or ``https://``.
    :param state_url: ``redis://`` URL of the store that the router reads.
    :param registry_auth: ``username``, ``password`` and ``serveraddress`` for pulls; None for an open registry.
    :param auth_now: the same as they are now, for when they are refused; None: there are no others.
    """

    def __init__(
        self,
        engine_url: str,
        state_url: str,
        registry_auth: dict[str, str] | None = None,
        auth_now: RegistryAuth | None = None,
    ) -> None:
        self._engine = Engine(engine_url, registry_auth, auth_now)
        self._state = State(state_url)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._pull_trouble: dict[str, str] = {}
        self._prober = Prober()
        self._told: dict[str, str] = {}
        self._whole: dict[str, tuple[Hashable, float]] = {}

    async def __aenter__(self: H) -> H:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await ended(list(self._tasks.values()))
        self._tasks.clear()
        await self._prober.close()
        await self._engine.close()
        await self._state.close()

    def _tell(self, what: str, trouble: str | None) -> None:
        """Log what is in the way, once as long as it stays the same; None: nothing is."""
        if trouble and self._told.get(what) != trouble:
            log.warning("%s", trouble)
        self._told[what] = trouble or ""

    async def _containers(self, target: Target) -> list[Container]:
        return await self._engine.containers({f"{LABEL}app": target.app, f"{LABEL}environment": target.environment})

    async def _look(self, target: Target) -> tuple[AppState, dict[Track, list[Replica]]]:
        """What is wanted, and then what runs: what the router had by then was there by then, too, or is gone."""
        state = await self._state.look(target)
        return state, await self._replicas(target, state, await self._containers(target))

    async def _replicas(
        self, target: Target, state: AppState, containers: list[Container]
    ) -> dict[Track, list[Replica]]:
        """The containers as replicas of each track, asked whether they are ready."""
        by_track: dict[Track, list[Replica]] = {track: [] for track in TRACKS}
        for container in containers:
            track = container.labels.get(f"{LABEL}track")
            if track in by_track:
                by_track[track].append(self._replica(target, track, container, state))
        probed = await asyncio.gather(
            *(
                self._probed(target, state.wants.get(track), r, state.now)
                for track, replicas in by_track.items()
                for r in replicas
            )
        )
        by_id = {replica.id: replica for replica in probed}
        return {
            track: sorted((by_id[r.id] for r in replicas), key=lambda r: (r.digest, r.number))
            for track, replicas in by_track.items()
        }

    def _replica(self, target: Target, track: Track, container: Container, state: AppState) -> Replica:
        # An earlier configuration may have had another port; a replica publishes one.
        port = container.ports.get(target.workload.port) or next(iter(container.ports.values()), None)
        address = container.labels.get(f"{LABEL}address") or (f"{self._engine.address}:{port}" if port else None)
        url = f"http://{address}" if address else None
        return Replica(
            id=container.id,
            name=container.name,
            digest=container.labels.get(f"{LABEL}digest", ""),
            number=int(container.labels.get(f"{LABEL}replica", 0)),
            state=container.state,
            url=url,
            listed=url in state.servers[track],
            left_at=state.left.get(container.id),
            version=container.labels.get(f"{LABEL}version", ""),
            image=container.image.partition("@")[0] if "@" in container.image else None,
            created_at=container.created_at,
        )

    async def _probed(self, target: Target, want: Want | None, replica: Replica, now: float) -> Replica:
        if replica.ended or (replica.state == "stopping" and replica.left_at is None):
            return await self._explained(replica)
        if replica.state != "running" or replica.left_at is not None:
            return replica
        tries = SERVING_TRIES if replica.listed else 1
        trouble = await self._prober.trouble(replica.url, workload_of(target, want), tries)
        had_served = replica.listed or (want is not None and want.settled)
        if had_served and trouble and trouble.startswith(NOT_SERVING):
            return await self._explained(replace(replica, trouble=trouble))  # Podman's list may be behind
        if trouble and not had_served and now - replica.created_at > BEGIN_SECONDS:
            return await self._reached(workload_of(target, want), replace(replica, trouble=trouble))
        return replace(replica, trouble=trouble)

    async def _reached(self, workload: Workload, replica: Replica) -> Replica:
        """A new replica that is not ready; lost, where it is ready, and what the host does with its port does not lead to it."""
        try:
            inside = self._engine.inside(await self._engine.inspect(replica.id), workload.port)
        except EngineRefusal:  # it is being removed
            return replica
        if inside is None or await self._prober.trouble(inside, workload):
            return replica
        trouble = await self._prober.trouble(replica.url, workload)  # it may have begun to serve between the two
        if trouble is None:
            return replace(replica, trouble=None)
        log.warning("%s is ready, but %s does not lead to it: another one takes its place.", replica.name, replica.url)
        return replace(replica, state=rollout.LOST, trouble=trouble)

    async def _explained(self, replica: Replica) -> Replica:
        """The replica, with how it ended."""
        try:
            state = (await self._engine.inspect(replica.id)).get("State") or {}
            if state.get("Status") in TAKEN_FOR_RUNNING and await self._is_lost(replica):
                return replace(replica, state=rollout.LOST)
        except EngineRefusal:  # it is being removed
            return replica
        if not state or state.get("Running") or state.get("Status") in TAKEN_FOR_RUNNING:
            return replica
        killed_for_memory = bool(state.get("OOMKilled"))
        ended = replica if replica.ended else replace(replica, state="exited")
        return replace(ended, exit_code=state.get("ExitCode"), out_of_memory=killed_for_memory)

    async def _is_lost(self, replica: Replica) -> bool:
        """Whether its process has ended, and the engine will not notice."""
        end = time.monotonic() + NOTICED_SECONDS
        while not await self._engine.has_process(replica.id):
            if time.monotonic() > end:
                return True
            await asyncio.sleep(NOTICED_SECONDS / 5)
            state = (await self._engine.inspect(replica.id)).get("State") or {}
            if state.get("Status") not in TAKEN_FOR_RUNNING:
                return False
        return False

    async def _status(self, target: Target, track: Track, state: AppState, replicas: list[Replica]) -> TrackStatus:
        want = state.wants.get(track)
        status = rollout.status(track, want, replicas)
        if want is None or status.failure or status.settled:
            return status
        failure = await self._failure(target, track, want, replicas, state.now)
        return status.model_copy(update={"failure": failure, "waiting": None}) if failure else status

    async def _failure(
        self, target: Target, track: Track, want: Want, replicas: list[Replica], now: float
    ) -> str | None:
        """R7: why the track cannot become ready, in a sentence with the last log lines."""
        ended = rollout.broken(want, replicas, track)
        if ended:
            return await self._why_ended(want, ended[0])
        if not rollout.late(want, now, target.workload.ready_timeout):
            return None
        unready = next((r for r in replicas if rollout.is_wanted(want, r) and r.trouble), None)
        reason = self._pull_trouble.get(want.reference) or rollout.waiting(want, replicas)
        if f"pull {want.reference}" in self._tasks:
            reason = f"the registry has not answered for {want.reference}, or is still sending it."
        logs = await self._last_lines(unready.name) if unready else ""
        return f"{want.version} is not ready after {target.workload.ready_timeout:g} s: {reason}{logs}"

    async def _why_ended(self, want: Want, replica: Replica) -> str:
        state = (await self._engine.inspect(replica.name)).get("State") or {}
        code = state.get("ExitCode")
        why = (
            "was killed because it ran out of memory (OOMKilled)"
            if state.get("OOMKilled")
            else f"ended with exit code {code}"
        )
        error = f" ({state['Error']})" if state.get("Error") else ""
        return f"A replica of {want.version} {why}{error}.{await self._last_lines(replica.name)}"

    async def _last_lines(self, name: str) -> str:
        lines = await self._engine.logs(name, LOG_LINES)
        return f" Its last lines:\n{lines}" if lines else " It wrote no log lines."
