"""The container host as a platform: containers of one engine, weights in Traefik, everything that changes in one store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from types import TracebackType

from release_pipelines.adapters.platforms.container_host import rollout
from release_pipelines.adapters.platforms.container_host.engine import Container, Engine, EngineRefusal
from release_pipelines.adapters.platforms.container_host.replicas import (
    LABEL,
    SERVING_TRIES,
    Prober,
    container_body,
    workload_of,
)
from release_pipelines.adapters.platforms.container_host.rollout import DRAIN_SECONDS, Plan, Replica, Want
from release_pipelines.adapters.platforms.container_host.state import TRACKS, Seen, State, fence_lost
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.guard import refuse_unready
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Answer, Observed, TrackStatus, Usage
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target, Workload
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import Traffic

LOG_LINES = 5
RUN_LINES = 40


class ContainerHost:
    """Replicas as containers on one host, published on its loopback; Traefik in front, configured through a Valkey.

    :param engine_url: address of a Docker-compatible engine: ``unix://``, ``tcp://``, ``http://`` or ``https://``.
    :param state_url: ``redis://`` URL of the store that Traefik's Redis provider reads (root key ``traefik``).
    :param registry_auth: ``username``, ``password`` and ``serveraddress`` for pulls; None for an open registry.
    """

    def __init__(self, engine_url: str, state_url: str, registry_auth: dict[str, str] | None = None) -> None:
        self._engine = Engine(engine_url, registry_auth)
        self._state = State(state_url)
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._pull_trouble: dict[str, str] = {}
        self._prober = Prober()

    async def __aenter__(self) -> ContainerHost:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self._jobs.values():
            job.cancel()
        await asyncio.gather(*self._jobs.values(), return_exceptions=True)
        self._jobs.clear()
        await self._prober.close()
        await self._engine.close()
        await self._state.close()

    async def check(self, target: Target) -> None:
        """Raise with one sentence unless engine, store and proxy answer."""
        await self._engine.ping()
        await self._state.check()
        await self._prober.proxy_answers(target.url)

    async def observe(self, target: Target) -> Observed:
        """What runs, who gets traffic, and who may change it."""
        seen, replicas = await self._look(target)
        return Observed(
            tracks={
                track: await self._status(target, track, seen, replicas[track])
                for track in TRACKS
                if track in seen.wants or replicas[track]
            },
            route=seen.route,
            lease=seen.lease,
        )

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
        changed = await self._state.want(target, track, want, fence, restore=restore)
        if track == "preview" and target.preview_host:
            await self._state.give_address(target, track, target.preview_host, fence)
        if changed:
            await self._clear_ended(target, track, fence)
        return changed

    async def advance(self, target: Target, track: Track, fence: int) -> TrackStatus:
        """One step of the rolling update; raises FenceLost before it changes anything."""
        seen, found = await self._look(target)
        want, replicas = seen.wants.get(track), found[track]
        status = await self._status(target, track, seen, replicas)
        self._fenced(target, seen, fence)
        for removed in seen.left.keys() - {it.id for track_replicas in found.values() for it in track_replicas}:
            await self._state.forget(target, removed)  # whoever removed it was killed before it could say so
        if want is None:
            return status
        if status.failure:
            if status.failure != want.failure:
                await self._state.note_want(target, track, want, fence, failure=status.failure)
            return status
        if status.settled:
            if not want.settled:
                await self._state.note_want(target, track, want, fence, settled=True)
            return status
        todo = rollout.plan(want, replicas, seen.now, *rollout.room_for(want.replicas, target.update))
        try:
            pulling = await self._start(target, track, want, todo)
        except EngineRefusal as error:
            failure = f"{want.version} cannot be started: {error}"
            await self._state.note_want(target, track, want, fence, failure=failure)
            return status.model_copy(update={"failure": failure, "waiting": None})
        if todo.join or todo.leave:
            servers = seen.servers[track]
            gone = {replica.url for replica in todo.leave}
            after = [url for url in servers if url not in gone] + [r.url for r in todo.join if r.url]
            await self._state.serve(target, track, servers, after, todo.leave, fence)
        for replica in todo.stop:
            self._job(f"end {replica.id}", partial(self._end, target, replica))
        return status.model_copy(update={"waiting": pulling}) if pulling else status

    async def split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        """Traffic, router and note in one write; the engine is not asked, so that traffic can be taken back without it."""
        seen = await self._state.look(target)

        async def is_ready(track: Track) -> bool:
            return await self._prober.any_ready(seen.servers[track], workload_of(target, seen.wants.get(track)))

        await refuse_unready(target, traffic, seen.route.traffic if seen.route else None, is_ready)
        return await self._state.split(target, traffic, note, fence)

    async def ask(self, target: Target, track: Track, path: str) -> Answer:
        """GET ``path`` from the first replica of the track that is ready."""
        _, found = await self._look(target)
        replica = next((it for it in found[track] if it.ready and it.url), None)
        if replica is None or replica.url is None:
            raise PlatformError(f"{track} of {target.app} in {target.environment} has no ready replica to ask.")
        return await self._prober.ask(replica.url + path, target.host, target.version_header)

    async def retire(self, target: Target, track: Track, fence: int) -> bool:
        """Remove a track without traffic, once what was on its way to it has been answered."""
        there, since = await self._state.retire(target, track, fence)
        replicas = [r for r in await self._containers(target) if r.labels.get(f"{LABEL}track") == track]
        if replicas:
            await asyncio.sleep(max(0.0, DRAIN_SECONDS - since))
            await asyncio.gather(*(self._end(target, container) for container in replicas))
        return there or bool(replicas)

    async def take_lease(self, target: Target, holder: str, ttl: float, *, force: bool = False) -> Lease:
        """Become the one writer."""
        return await self._state.take(target, holder, ttl, force)

    async def renew_lease(self, target: Target, lease: Lease, ttl: float) -> Lease:
        """Push the expiry out; also after it has passed, as long as nobody else took the lease."""
        return await self._state.renew(target, lease, ttl)

    async def give_back_lease(self, target: Target, lease: Lease) -> bool:
        """Free the lease if it is still this one."""
        return await self._state.give_back(target, lease)

    async def usage(self, target: Target, track: Track) -> Usage | None:
        """CPU and memory of the track's busiest replica, from the engine's own statistics."""
        names = [
            c.id
            for c in await self._containers(target)
            if c.labels.get(f"{LABEL}track") == track and c.state == "running"
        ]
        found = await asyncio.gather(*(self._engine.usage(name) for name in names))
        return Usage(
            cpu=max((u.cpu for u in found if u.cpu is not None), default=None),
            memory=max((u.memory for u in found if u.memory is not None), default=None),
        )

    async def run(self, target: Target, image: str, command: list[str], env: dict[str, str], timeout: float) -> str:
        """Run ``command`` in the image, in the host's own network."""
        if not await self._engine.has_image(image):
            await self._engine.pull(image)
        mark = hashlib.sha256(" ".join([image, *command]).encode()).hexdigest()[:16]
        name = f"{target.app}-{target.environment}-run-{mark}"
        body = {
            "Image": image,
            "Entrypoint": command[:1],
            "Cmd": command[1:],
            "Env": [f"{key}={value}" for key, value in env.items()],
            "Labels": {f"{LABEL}run": target.app},
            "HostConfig": {"NetworkMode": "host"},
        }
        await self._engine.remove(name)  # of a try that was killed
        try:
            await self._engine.create(name, body)
            await self._engine.start(name)
            code = await self._engine.wait(name, timeout)
            output = await self._engine.logs(name, RUN_LINES)
        except EngineRefusal as error:
            raise PlatformError(f"`{' '.join(command)}` cannot be run in {image}: {error}") from error
        finally:
            await self._engine.remove(name)
        if code == 0:
            return output
        ended = f"took longer than {timeout:g} s" if code is None else f"ended with exit code {code}"
        raise PlatformError(f"`{' '.join(command)}` {ended}. Its last lines:\n{output}")

    # --- looking ----------------------------------------------------------------------------------------------

    async def _containers(self, target: Target) -> list[Container]:
        return await self._engine.containers({f"{LABEL}app": target.app, f"{LABEL}environment": target.environment})

    async def _look(self, target: Target) -> tuple[Seen, dict[Track, list[Replica]]]:
        seen, containers = await asyncio.gather(self._state.look(target), self._containers(target))
        found: dict[Track, list[Replica]] = {track: [] for track in TRACKS}
        for container in containers:
            track = container.labels.get(f"{LABEL}track")
            if track in found:
                found[track].append(self._replica(target, container, seen))
        probed = await asyncio.gather(
            *(
                self._probed(workload_of(target, seen.wants.get(track)), r)
                for track, replicas in found.items()
                for r in replicas
            )
        )
        by_id = {replica.id: replica for replica in probed}
        return seen, {
            track: sorted((by_id[r.id] for r in replicas), key=lambda r: (r.digest, r.number))
            for track, replicas in found.items()
        }

    def _replica(self, target: Target, container: Container, seen: Seen) -> Replica:
        # An earlier configuration may have had another port; a replica publishes one.
        port = container.ports.get(target.workload.port) or next(iter(container.ports.values()), None)
        url = f"http://{self._engine.address}:{port}" if port else None
        return Replica(
            id=container.id,
            name=container.name,
            digest=container.labels.get(f"{LABEL}digest", ""),
            number=int(container.labels.get(f"{LABEL}replica", 0)),
            state=container.state,
            url=url,
            listed=any(url in urls for urls in seen.servers.values()),
            left_at=seen.left.get(container.id),
        )

    async def _probed(self, workload: Workload, replica: Replica) -> Replica:
        if replica.state != "running" or replica.left_at is not None:
            return replica
        tries = SERVING_TRIES if replica.listed else 1
        return replace(replica, trouble=await self._prober.trouble(replica.url, workload, tries))

    async def _status(self, target: Target, track: Track, seen: Seen, replicas: list[Replica]) -> TrackStatus:
        want = seen.wants.get(track)
        status = rollout.status(track, want, replicas)
        if want is None or status.failure or status.settled:
            return status
        failure = await self._failure(target, track, want, replicas, seen.now)
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
        said = self._pull_trouble.get(want.reference) or rollout.waiting(want, replicas)
        if f"pull {want.reference}" in self._jobs:
            said = f"the registry has not answered for {want.reference}, or is still sending it."
        logs = await self._last_lines(unready.name) if unready else ""
        return f"{want.version} is not ready after {target.workload.ready_timeout:g} s: {said}{logs}"

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

    # --- acting -----------------------------------------------------------------------------------------------

    def _fenced(self, target: Target, seen: Seen, fence: int) -> None:
        """The engine knows no fence: it is looked at right before containers are changed."""
        if seen.lease is None or seen.lease.fence != fence:
            raise fence_lost(target, seen.lease.holder if seen.lease else "")

    async def _start(self, target: Target, track: Track, want: Want, todo: Plan) -> str | None:
        """Create and start what is missing; returns what it waits for, or None. EngineRefusal: it cannot be started."""
        names = [replica.name for replica in todo.start]
        if todo.create:
            pulling = await self._image(want.reference)
            if pulling:
                return pulling
            for number in todo.create:
                name = f"{target.app}-{target.environment}-{track}-{want.digest[7:19]}-{number}"
                body = container_body(target, track, want, number, self._engine.publish_on)
                if await self._engine.create(name, body):  # else another watcher was faster, and starts it
                    names.append(name)
        for name in names:
            try:
                await self._engine.start(name)
            except EngineRefusal as error:
                await self._engine.remove(name)
                if "already in use" not in str(error) and "already allocated" not in str(error):
                    raise
                return f"The host port that was chosen for {name} is taken; another one is tried."
        return None

    async def _image(self, reference: str) -> str | None:
        """What the image waits for; None when the engine has it. Raises NoSuchImage."""
        name = f"pull {reference}"
        job = self._jobs.get(name)
        if job is None or not job.done():
            if job is None and await self._engine.has_image(reference):
                return None
            self._job(name, partial(self._engine.pull, reference))
            return self._pull_trouble.get(reference) or f"{reference} is being pulled."
        del self._jobs[name]
        try:
            await job
        except PlatformUnavailable as error:
            self._pull_trouble[reference] = str(error)
            return str(error)
        return None

    def _job(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin something slow, unless it is going on."""

        async def working() -> None:
            await work()

        job = self._jobs.get(name)
        if job is None or job.done():
            self._jobs[name] = asyncio.create_task(working(), name=name)

    async def _clear_ended(self, target: Target, track: Track, fence: int) -> None:
        """Another try begins without the containers that ended in the last one."""
        seen, found = await self._look(target)
        ended = [replica for replica in found[track] if replica.ended]
        gone = {replica.url for replica in ended}
        servers = seen.servers[track]
        if gone & set(servers):
            await self._state.serve(target, track, servers, [url for url in servers if url not in gone], ended, fence)
        await asyncio.gather(*(self._end(target, replica) for replica in ended))

    async def _end(self, target: Target, replica: Replica | Container) -> None:
        await self._engine.stop(replica.id)
        await self._engine.remove(replica.id)
        await self._state.forget(target, replica.id)
