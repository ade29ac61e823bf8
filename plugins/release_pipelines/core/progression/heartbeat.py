"""A release keeps its lease, and listens to people while nothing else of it does; others wait for the lease (R2)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from release_pipelines.core.errors import FenceLost, PlatformError
from release_pipelines.core.expiry import LeaseWatch
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.command import CommandState
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.commands import EFFECTS_BETWEEN_HOLDS, ReleaseCommands
from release_pipelines.core.progression.stand_in import StandIn
from release_pipelines.core.progression.waiting import first_of, insist
from release_pipelines.core.progression.way_back import give_back
from release_pipelines.core.sentences import utc

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Pause between two renewals, and between two looks at somebody else's lease, in seconds."""
TAKE_UP_SECONDS = 0.8
"""Time that the release's other loops have to take up a command, in seconds; then the heartbeat does it, as far as it can."""
UNWATCHED_SECONDS = 15.0
"""A longer pause between two signs of life is told, in seconds: with a restart of the triggerer it is shorter."""
AGAIN_SECONDS = 0.5
"""Pause before a command that could not be taken up is looked at again, in seconds."""


class Heartbeat:
    """Renews the lease until it is given back, and takes up commands that nothing else of the release takes up.

    Between two stages Airflow needs a few seconds, in which nobody would hear an abort: then the heartbeat gives the traffic
    back to stable, and the release's next task ends the release.

    :param platform: where the app runs.
    :param target: the app in its environment.
    :param lease: the release's lease.
    :param ttl: seconds until a lease that is not renewed expires.
    :param commands: the release's commands.
    :param stand_in: judges the version while no task of the release does; None: nobody does.
    """

    def __init__(
        self,
        platform: Platform,
        target: Target,
        lease: Lease,
        ttl: float,
        commands: ReleaseCommands,
        stand_in: StandIn | None = None,
    ) -> None:
        self.platform = platform
        self.target = target
        self.lease = lease
        self.ttl = ttl
        self.commands = commands
        self.stand_in = stand_in

    async def run(self) -> dict[str, Any]:
        """Run until the lease is gone.

        :return: the event: ``{"given_back": true}``, or ``{"taken_by": holder}`` when somebody else took the lease.
        """
        await self._tell_of_gap()
        judging = [self.stand_in.run()] if self.stand_in else []
        return await first_of(self._renew(), self._listen(), *judging)

    async def _tell_of_gap(self) -> None:
        """Record for how long nobody watched: the heartbeat renewed the lease last when it was alive last."""
        if self.stand_in is None:
            return
        observed, now = await insist(lambda: self.platform.observe(self.target)), time.time()
        lease, note = observed.lease, observed.note
        if lease is None or lease.fence != self.lease.fence or note.release != lease.holder or note.started_at is None:
            return
        last = max(lease.expires_at - self.ttl, note.started_at)
        if observed.beside and now - last > UNWATCHED_SECONDS:
            shares = ", ".join(f"the {it} had {observed.weight(it)} %" for it in observed.beside)
            sentence = f"Nobody watched from {utc(last)} to {utc(now)} UTC ({now - last:.0f} s): Airflow was away; {shares} of the traffic."
            log.warning(sentence)
            await self.stand_in.context.record("unwatched", sentence)

    async def _renew(self) -> dict[str, Any]:
        while True:
            try:
                await insist(lambda: self.platform.renew_lease(self.target, self.lease, self.ttl))
            except FenceLost:
                current = (await insist(lambda: self.platform.observe(self.target))).lease
                if current is None or current.holder == self.lease.holder:  # its own end has taken it
                    return {"given_back": True}
                return {"taken_by": current.holder}
            await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self) -> dict[str, Any]:
        first_read_at = dict[int, float]()
        while True:
            state, now = await self.commands.state(), time.monotonic()
            waiting = {
                command.id for command in ([*state.unanswered, state.abort] if state.abort else state.unanswered)
            }
            for command in waiting:
                first_read_at.setdefault(command, now)
            overdue = {command for command in waiting if now - first_read_at[command] >= TAKE_UP_SECONDS}
            if overdue:
                await self._take_up(state, overdue)
            due_in = [first_read_at[command] + TAKE_UP_SECONDS - now + 0.01 for command in waiting - overdue]
            await self.commands.wait(min([*due_in, AGAIN_SECONDS if waiting else LOOK_SECONDS]))

    async def _take_up(self, state: CommandState, overdue: set[int]) -> None:
        try:
            observed = await self.platform.observe(self.target)
            if state.abort and state.abort.id in overdue and can_return_traffic(observed, self.lease):
                await self._return_traffic(observed)
                await self.commands.answer(state.abort, "All traffic is back on stable.")
        except PlatformError as error:  # the next look, or the next task, tries again
            log.warning("%s Looking again.", error)
            return
        if not in_hold(observed):
            unanswered = tuple(command for command in state.unanswered if command.id in overdue)
            await self.commands.answer_all(state._replace(unanswered=unanswered), EFFECTS_BETWEEN_HOLDS)

    async def _return_traffic(self, observed: Observed) -> None:
        update = {"release": self.lease.holder, "step": "aborted", "traffic": ALL_TO_STABLE, "paused_at": None}
        note = observed.note.model_copy(update=update)
        await give_back(self.platform, self.target, note, self.lease.fence)
        log.warning("A person aborted the release: all traffic is back on stable.")


async def wait_for_lease(platform: Platform, target: Target) -> dict[str, Any]:
    """Wait until nobody holds the lease, or the holder let it expire.

    :return: the event: ``{"free": true}``, with the lease as ``expired`` where watching it has shown that nobody renews it.
    """
    logged, watch = None, LeaseWatch()
    while True:
        lease = (await insist(lambda: platform.observe(target))).lease
        if lease is None:
            return {"free": True}
        if watch.over(lease):
            return {"free": True} if lease.seconds is None else {"free": True, "expired": to_json(lease)}
        if lease.holder != logged:
            logged = lease.holder
            log.info("Waiting for %s, which holds %s in %s.", logged, target.app, target.environment)
        await asyncio.sleep(LOOK_SECONDS)


def in_hold(observed: Observed) -> bool:
    """Whether a stage is in its hold: it has a clock, and no verdict yet."""
    note = observed.note
    return note.started_at is not None and note.verdict is None and note.traffic is not None and not note.done


def can_return_traffic(observed: Observed, lease: Lease) -> bool:
    """Whether the traffic can go back to stable in one write: stable is not being changed, and runs one version only."""
    stable = observed.track("stable")
    shared = observed.route is not None and not observed.route.traffic.same(ALL_TO_STABLE)
    mine = observed.lease is not None and observed.lease.fence == lease.fence
    whole = stable.ready > 0 and stable.updated == stable.ready
    other = all(observed.track(track).digest != stable.digest for track in observed.beside)
    return shared and mine and whole and other
