"""Keeps the replicas of one host: outside of releases, and where Airflow itself is away.

A new start of the machine, a crash and a person's `rm` all look the same: what shall run stands in the store, and does not run. The
keeper brings it back, and takes what is gone off the router's list at once. It rolls nothing out and judges nothing: that is a
release's part.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

from release_pipelines.adapters.platforms.container_host.engine import Container
from release_pipelines.adapters.platforms.container_host.replicas import LABEL
from release_pipelines.adapters.platforms.container_host.rivals import KnownApp
from release_pipelines.adapters.platforms.container_host.state import AppState
from release_pipelines.adapters.platforms.container_host.upkeep import HostUpkeep
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.target import RouterSettings, Target, Workload

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.4
"""Pause between two looks at what runs, in seconds."""
FORGOTTEN_SECONDS = 60.0
"""After so long a start counts no more, in seconds."""
LONGEST_PAUSE_SECONDS = 10.0
"""Longest pause before a replica that ends again and again is started once more, in seconds."""


class Keeper(HostUpkeep):
    """Looks after all apps that were deployed with this engine and this store. Several keepers do no harm."""

    def __init__(self, engine_url: str, state_url: str) -> None:
        super().__init__(engine_url, state_url)
        self._starts: dict[str, list[float]] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One look at everything; what is in the way is logged once."""
        try:
            apps = [(app, target_of(app)) for app in await self._state.apps()]
            states = [await self._seen(target) for _, target in apps]
            containers = await self._engine.containers({f"{LABEL}app": ""})
        except Exception as error:  # whatever it is: the next look may succeed, and nobody else looks
            known = isinstance(error, PlatformError)
            self._tell("host", str(error) if known else f"The host cannot be looked at: {error!r}")
            return
        self._tell("host", None)
        self._forget_ended()
        for (app, target), state in zip(apps, states, strict=True):
            own = [it for it in containers if belongs(it, app)]
            if own and app.engine not in (None, self._engine.url):
                self._tell(str(app), f"{app.app} in {app.environment} was deployed at {app.engine}: it is left alone.")
            if state is None:
                continue
            if app.engine == self._engine.url or (app.engine is None and own):
                # None waits for another's starts.
                self._in_background(f"keep {app}", partial(self._keep_app, target, state, own))

    async def _seen(self, target: Target) -> AppState | None:
        """The app's state; None where it cannot be read: that is no reason to leave the others alone."""
        try:
            return await self._state.look(target)
        except PlatformUnavailable:
            raise
        except Exception as error:
            self._tell(f"{target.app} in {target.environment}", f"{target.app} is left alone: {error}")
            return None

    async def _keep_app(self, target: Target, state: AppState, containers: list[Container]) -> None:
        name = f"{target.app} in {target.environment}"
        try:
            await self._keep(target, state, containers, None)
            self._tell(name, None)
        except PlatformError as error:
            self._tell(name, str(error))
        except Exception as error:
            self._tell(name, f"{name} cannot be looked after: {error!r}")

    def _forget_ended(self) -> None:
        """This process lives long: what is done is not kept."""
        done = [name for name, task in self._tasks.items() if name.startswith("end ") and task.done()]
        for task in map(self._tasks.pop, done):
            if not task.cancelled() and task.exception():
                self._tell("end", f"A replica could not be ended: {task.exception()}")
        now = time.monotonic()
        self._starts = {it: at for it, at in self._starts.items() if now - at[-1] < FORGOTTEN_SECONDS}

    def _may_start(self, name: str) -> bool:
        """A replica that ends again and again is started after longer and longer pauses."""
        now = time.monotonic()
        earlier = [it for it in self._starts.get(name, []) if now - it < FORGOTTEN_SECONDS]
        if earlier and now - earlier[-1] < pause_before(len(earlier)):
            return False
        self._starts[name] = [*earlier, now]
        log.warning("Starting %s.", name)
        return True


def pause_before(starts: int) -> float:
    """Seconds between the last of so many starts and the next one."""
    return min(LONGEST_PAUSE_SECONDS, 2.0 ** (starts - 1))


def belongs(container: Container, app: KnownApp) -> bool:
    """Whether the container is a replica of the app."""
    return (container.labels.get(f"{LABEL}app"), container.labels.get(f"{LABEL}environment")) == (
        app.app,
        app.environment,
    )


def target_of(app: KnownApp) -> Target:
    """The app as the platform's parts want it; what only a release needs is empty."""
    return Target(
        app=app.app,
        environment=app.environment,
        platform="container_host",
        platform_connection="",
        registry_connection="",
        prometheus_connection="",
        workload=Workload(name=app.app),
        router=RouterSettings(kind=app.router, route=app.app),
        url="",
    )
