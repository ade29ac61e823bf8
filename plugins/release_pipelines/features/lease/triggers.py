"""The release's heartbeat, and the wait for a busy environment (R2)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from release_pipelines.airflow.triggers import PlatformTrigger, first_of, insist
from release_pipelines.core.errors import FenceLost, PlatformError
from release_pipelines.core.model.command import Standing
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.commands import BETWEEN_HOLDS, Steering
from release_pipelines.core.progression.watch import note_of

LOOK_SECONDS = 2.0
TAKE_UP_SECONDS = 0.8
"""So long whatever works for the release has to take up a command; then the heartbeat does, as far as it can."""
AGAIN_SECONDS = 0.5
"""Pause before a command that could not be taken up is looked at again."""


class HoldLeaseTrigger(PlatformTrigger):
    """Renew the lease until it is given back, and listen to people while nothing else of the release does.

    Between two stages Airflow needs a few seconds, in which nobody would hear an abort: then this trigger takes the traffic
    back, and the release's next task ends it.

    :param target: the app in its environment.
    :param lease: the :class:`~release_pipelines.core.model.lease.Lease` that is held, as a dict.
    :param ttl: seconds until a lease that nobody renews expires.

    Event: ``{"given_back": true}``, or ``{"taken_by": holder}`` when somebody else took it.
    """

    def __init__(self, *, target: dict[str, Any], lease: dict[str, Any], ttl: float) -> None:
        super().__init__(target=target, lease=lease, ttl=ttl)
        self.lease = Lease.model_validate(lease)
        self.ttl = ttl

    async def watch(self, platform: Platform) -> dict[str, Any]:
        return await first_of(self._renew(platform), self._listen(platform))

    async def _renew(self, platform: Platform) -> dict[str, Any]:
        while True:
            try:
                await insist(lambda: platform.renew_lease(self.target, self.lease, self.ttl))
            except FenceLost:
                now = (await insist(lambda: platform.observe(self.target))).lease
                if now is None or now.fence == self.lease.fence:
                    return {"given_back": True}
                return {"taken_by": now.holder}
            await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self, platform: Platform) -> dict[str, Any]:
        steering, seen = Steering(self.lease.holder), dict[int, float]()
        while True:
            held = await steering.look()
            given, now = {it.id for it in ([*held.open, held.abort] if held.abort else held.open)}, time.monotonic()
            for command in given:
                seen.setdefault(command, now)
            late = {it for it in given if now - seen[it] >= TAKE_UP_SECONDS}
            if late:
                await self._take_up(platform, steering, held, late)
            soon = [seen[it] + TAKE_UP_SECONDS - now + 0.01 for it in given - late]
            await steering.wait(min([*soon, AGAIN_SECONDS if given else LOOK_SECONDS]))

    async def _take_up(self, platform: Platform, steering: Steering, held: Standing, late: set[int]) -> None:
        try:
            observed = await platform.observe(self.target)
            if held.abort and held.abort.id in late and returnable(observed, self.lease):
                await self._return_traffic(platform, observed)
                await steering.say(held.abort, "All traffic is back on stable.")
        except PlatformError as error:  # the next look, or the next task, tries again
            self.log.warning("%s Looking again.", error)
            return
        if not holding(observed):
            taken = held._replace(open=tuple(it for it in held.open if it.id in late))
            await steering.say_open(taken, BETWEEN_HOLDS)

    async def _return_traffic(self, platform: Platform, observed: Observed) -> None:
        update = {"release": self.lease.holder, "step": "aborted", "traffic": ALL_TO_STABLE, "paused_at": None}
        note = note_of(observed).model_copy(update=update)
        await platform.split(self.target, ALL_TO_STABLE, note, self.lease.fence)
        self.log.warning("A person aborted the release: all traffic is back on stable.")


class LeaseFreeTrigger(PlatformTrigger):
    """Wait until nobody holds the lease, or the holder let it expire.

    :param target: the app in its environment.

    Event: ``{"free": true}``.
    """

    async def watch(self, platform: Platform) -> dict[str, Any]:
        said = None
        while True:
            lease = (await insist(lambda: platform.observe(self.target))).lease
            if lease is None or lease.expires_at <= time.time():
                return {"free": True}
            if lease.holder != said:
                said = lease.holder
                self.log.info("Waiting for %s, which holds %s in %s.", said, self.target.app, self.target.environment)
            await asyncio.sleep(LOOK_SECONDS)


def holding(observed: Observed) -> bool:
    """Whether a stage is watching its hold: it has a clock, and no verdict yet."""
    note = note_of(observed)
    return note.started_at is not None and note.verdict is None and note.traffic is not None and not note.done


def returnable(observed: Observed, lease: Lease) -> bool:
    """Whether the traffic can go back to stable in one write: nobody is changing stable, and it is all one version."""
    stable = observed.track("stable")
    shared = observed.route is not None and not observed.route.traffic.same(ALL_TO_STABLE)
    mine = observed.lease is not None and observed.lease.fence == lease.fence
    whole = stable.ready > 0 and stable.updated == stable.ready
    other = all(observed.track(track).digest != stable.digest for track in observed.beside)
    return shared and mine and whole and other
