"""Replicas as containers: stated in the store, and brought about step by step by whoever watches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from release_pipelines.adapters.platforms.container_host import rollout
from release_pipelines.adapters.platforms.container_host.engine import Container, EngineRefusal
from release_pipelines.adapters.platforms.container_host.host import Host
from release_pipelines.adapters.platforms.container_host.replicas import LABEL, RESTART, container_body, some_ports
from release_pipelines.adapters.platforms.container_host.rollout import (
    DRAIN_SECONDS,
    HEARD_SECONDS,
    LOST,
    Plan,
    Replica,
    Want,
)
from release_pipelines.adapters.platforms.container_host.state import AppState, fence_lost
from release_pipelines.core.errors import PlatformUnavailable
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.platform import Workloads


class HostWorkloads(Host, Workloads):
    """Deploys, advances and retires tracks."""

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
        """State what ``track`` shall run; ``replicas`` None: the workload's number. A failed track gets another try."""
        want = {
            "digest": artifact.digest,
            "version": artifact.version,
            "image": artifact.image,
            "replicas": replicas or target.workload.replicas,
            "share": share,
            "workload": target.workload.model_dump(mode="json"),
        }
        changed = await self._state.want(target, track, want, fence, restore=restore, engine=self._engine.url)
        if track == "preview" and target.preview_host:
            await self._state.give_address(target, track, target.preview_host, fence)
        if changed:
            await self._clear_ended(target, track, fence)
        return changed

    async def advance(self, target: Target, track: Track, fence: int) -> TrackStatus:
        """One step of the rolling update; raises FenceLost before it changes anything."""
        state, by_track = await self._look(target)
        want, replicas = state.wants.get(track), by_track[track]
        status = await self._status(target, track, state, replicas)
        self._fenced(target, state, fence)
        for removed in state.left.keys() - {it.id for track_replicas in by_track.values() for it in track_replicas}:
            await self._state.forget(target, removed)  # whoever removed it was killed before it could say so
        servers = state.servers[track]
        if rollout.served(servers, replicas, Plan()) != servers:
            await self._serve(target, track, want, servers, replicas, Plan(), fence)
            servers = rollout.served(servers, replicas, Plan())
        if want is None:
            return status
        if status.failure:
            if status.failure != want.failure:
                await self._state.note_want(target, track, want, fence, failure=status.failure)
            return status
        if status.settled:
            if not want.settled:
                await self._state.note_want(target, track, want, fence, settled=True)
                await self._free_addresses(target, state, by_track)
                if track == "stable":
                    await asyncio.gather(*(self._engine.restart_by_itself(it.id, RESTART) for it in replicas))
            return status
        room = rollout.room_for(want.replicas, target.update)
        todo = rollout.plan(want, replicas, state.now, *room, drain=HEARD_SECONDS + DRAIN_SECONDS)
        try:
            pulling = await self._start(target, track, want, todo)
        except EngineRefusal as error:
            failure = f"{want.version} cannot be started: {error}"
            await self._state.note_want(target, track, want, fence, failure=failure)
            return status.model_copy(update={"failure": failure, "waiting": None})
        await self._serve(target, track, want, servers, replicas, todo, fence)
        for replica in todo.stop:
            self._in_background(f"end {replica.id}", partial(self._end, target, replica))
        return status.model_copy(update={"waiting": pulling}) if pulling else status

    async def _serve(
        self,
        target: Target,
        track: Track,
        want: Want | None,
        servers: list[str],
        replicas: list[Replica],
        todo: Plan,
        fence: int | None,
    ) -> None:
        after = rollout.served(servers, replicas, todo)
        if after != servers or todo.leave:  # what never was on the list has to be known as leaving, too
            await self._state.serve(target, track, want, servers, after, todo.leave, fence)

    async def _free_addresses(self, target: Target, state: AppState, by_track: dict[Track, list[Replica]]) -> None:
        """Addresses that neither a replica nor the router has any more can be another's, after a while."""
        urls = {it.url for replicas in by_track.values() for it in replicas if it.url}
        urls |= {url for servers in state.servers.values() for url in servers}
        await self._state.free_addresses(target, {url.removeprefix("http://") for url in urls})

    async def retire(self, target: Target, track: Track, fence: int) -> bool:
        """Remove a track without traffic, once what was on its way to it has been answered."""
        there, since = await self._state.retire(target, track, fence)
        replicas = [r for r in await self._containers(target) if r.labels.get(f"{LABEL}track") == track]
        if replicas:
            await asyncio.sleep(max(0.0, HEARD_SECONDS + DRAIN_SECONDS - since))
            await asyncio.gather(*(self._end(target, container) for container in replicas))
        return there or bool(replicas)

    def _fenced(self, target: Target, state: AppState, fence: int) -> None:
        """The engine knows no fence: it is looked at right before containers are changed."""
        if state.lease is None or state.lease.fence != fence:
            raise fence_lost(target, state.lease.holder if state.lease else "")

    async def _start(self, target: Target, track: Track, want: Want, todo: Plan) -> str | None:
        """Create and start what is missing; returns what it waits for, or None. EngineRefusal: it cannot be started."""
        names = [replica.name for replica in todo.start]
        if todo.create:
            pulling = await self._image(want.reference)
            if pulling:
                return pulling
            for number in todo.create:
                name = f"{target.app}-{target.environment}-{track}-{want.digest[7:19]}-{number}"
                address = await self._address(target)
                body = container_body(target, track, want, number, self._engine.publish_on, address)
                if await self._engine.create(name, body):  # else another watcher was faster, and starts it
                    names.append(name)
        for name in filter(self._may_start, names):
            try:
                await self._engine.start(name)
            except EngineRefusal as error:
                await self._engine.remove(name)
                if "already in use" not in str(error) and "already allocated" not in str(error):
                    raise
                return f"The host port that was chosen for {name} is taken; another one is tried."
        return None

    def _may_start(self, name: str) -> bool:
        """Whether a container may be started now."""
        return True

    async def _address(self, target: Target) -> str:
        """An address that nobody else has: it stays the replica's own, whatever happens to the machine."""
        address = await self._state.reserve(target, [f"{self._engine.address}:{port}" for port in some_ports()])
        if address is None:
            raise PlatformUnavailable(f"No port of {self._engine.address} is free for a replica of {target.app}.")
        return address

    async def _image(self, reference: str) -> str | None:
        """What the image waits for; None when the engine has it. Raises NoSuchImage."""
        name = f"pull {reference}"
        job = self._tasks.get(name)
        if job is None or not job.done():
            if job is None and await self._engine.has_image(reference):
                return None
            self._in_background(name, partial(self._engine.pull, reference))
            return self._pull_trouble.get(reference) or f"{reference} is being pulled."
        del self._tasks[name]
        try:
            await job
        except PlatformUnavailable as error:
            self._pull_trouble[reference] = str(error)
            return str(error)
        return None

    def _in_background(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin something slow, unless it is going on."""

        async def working() -> None:
            await work()

        job = self._tasks.get(name)
        if job is None or job.done():
            self._tasks[name] = asyncio.create_task(working(), name=name)

    async def _clear_ended(self, target: Target, track: Track, fence: int) -> None:
        """Another try begins without the containers that ended in the last one."""
        state, by_track = await self._look(target)
        ended = [replica for replica in by_track[track] if replica.ended]
        gone = {replica.url for replica in ended}
        servers = state.servers[track]
        if gone & set(servers):
            after = [url for url in servers if url not in gone]
            await self._state.serve(target, track, state.wants.get(track), servers, after, ended, fence)
        await asyncio.gather(*(self._end(target, replica) for replica in ended))

    async def _end(self, target: Target, replica: Replica | Container) -> None:
        if replica.state != LOST:  # else Podman waits for whoever would tell it of the end
            with suppress(EngineRefusal):  # its removal is its end, too
                await self._engine.stop(replica.id)
        await self._engine.remove(replica.id)
        await self._state.forget(target, replica.id)
