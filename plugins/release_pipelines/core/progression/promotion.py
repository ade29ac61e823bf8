"""Promotion: stable gets the judged version, then its traffic, and the track beside it is removed (R18)."""

from __future__ import annotations

import logging
import time
from typing import Any

from release_pipelines.core.model.command import Command, CommandState
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from release_pipelines.core.progression.commands import EFFECTS_BETWEEN_HOLDS, aborted_by
from release_pipelines.core.progression.context import ReleaseContext
from release_pipelines.core.progression.retirement import retire_beside
from release_pipelines.core.progression.waiting import insist, reached

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Pause between two looks at replicas and commands, in seconds."""
SETTLE_SECONDS = 1.0
"""Pause after each weight, in seconds: a stable that breaks under load is noticed before it has all of it."""


class Ended(Exception):
    """The promotion ends early, with this event."""

    def __init__(self, **event: Any) -> None:
        super().__init__(str(event))
        self.event = event


class Promotion:
    """Keeps the old version for a while, rolls stable to the new one, gives it the traffic, removes the judged track.

    If the version held on stable itself (rolling, and every first release) only the note on the route changes. A person may
    pause it between two changes, and abort it: stable then gets the old version back.

    :param context: the release.
    :param track: the track that the version held on.
    :param return_weights: falling weights of that track while its traffic goes to stable, in percent; 0 is added last.
    :param keep_old: seconds, from the end of the bake, that the old version keeps running on stable.
    :param retire_after: seconds that the track keeps running after it lost its traffic (R15).
    """

    def __init__(
        self,
        context: ReleaseContext,
        track: Track,
        return_weights: list[int],
        keep_old: float,
        retire_after: float,
    ) -> None:
        self.context = context
        self.platform = context.platform
        self.target = context.target
        self.artifact = context.artifact
        self.fence = context.fence
        self.commands = context.commands
        self.track: Track = track
        self.return_weights = return_weights
        self.keep_old = keep_old
        self.retire_after = retire_after

    async def run(self) -> dict[str, Any]:
        """Promote.

        :return: the event: ``{"promoted": true}``; ``{"failure": sentence}``: stable did not become or stay ready, and the
            healthy track has the traffic; ``{"aborted": {"by", "reason"}}``.
        """
        try:
            if self.track != "stable":
                await self._keep_old()
                await self._roll_stable()
                await self._return_traffic()
                await self._retire()
            await self._check_commands()  # an abort that comes in time counts
        except Ended as ended:
            return ended.event
        await self._write("promoted", 0, done=True)
        return {"promoted": True}

    async def _write(self, step: str, weight: int, *, done: bool = False) -> None:
        """:meth:`_split`, again and again while the platform is unavailable."""
        await insist(lambda: self._split(step, weight, done=done))

    async def _split(self, step: str, weight: int, *, done: bool = False) -> None:
        """The track's weight and the note in one write. The version becomes the last good one only when all is done."""
        note = (await self._observe()).note
        since = note.started_at if done and note.step == step else time.time()
        traffic = share_with(self.track, weight) if weight else ALL_TO_STABLE
        update = note.followed_by(
            release=self.context.release,
            step=step,
            traffic=traffic,
            started_at=since,
            last_good=self.artifact if done else note.last_good,
            done=done,
        )
        await self.platform.split(self.target, traffic, update, self.fence)

    async def _observe(self) -> Observed:
        return await insist(lambda: self.platform.observe(self.target))

    # --- steps ----------------------------------------------------------------------------------------------------

    async def _keep_old(self) -> None:
        """Keep the old version on stable for ``keep_old`` seconds, while a rollback is one write.

        The clock starts at the end of the bake, which is in the note (R6).
        """
        observed = await self._observe()
        if observed.track("stable").digest == self.artifact.digest:
            return  # after a restart: stable is being changed already
        note = observed.note
        end = (note.verdict.decided_at if note.verdict else note.started_at or time.time()) + self.keep_old
        while True:
            state = await self._check_commands()
            observed = await self._observe()
            verdict = observed.note.verdict
            if verdict and verdict.judgement == "fail" and observed.note.release == self.context.release:
                raise Ended(failure=verdict.sentence)  # it was judged on while the promotion was waited for
            if not state.pause and (time.time() >= end or state.promote):
                return
            if not observed.track(self.track).ready:
                if observed.track("stable").ready:
                    await self._write(f"{self.track}_lost", 0)
                raise Ended(failure=f"no replica of {self.artifact.version} is ready any more on {self.track}")
            remaining = end - time.time()
            await self.commands.wait(min(LOOK_SECONDS, remaining) if remaining > 0 else LOOK_SECONDS)

    async def _roll_stable(self) -> None:
        await insist(lambda: self.platform.deploy(self.target, "stable", self.artifact, None, self.fence))
        logged = None
        while True:
            await self._check_commands()
            status = await insist(lambda: self.platform.advance(self.target, "stable", self.fence))
            await self._leave_dead_track()
            if status.failure:
                raise Ended(failure=status.failure)
            if status.settled:
                return
            if (status.ready, status.waiting) != logged:
                logged = (status.ready, status.waiting)
                log.info("stable: %s of %s ready. %s", status.ready, status.wanted, status.waiting or "")
            await self.commands.wait(LOOK_SECONDS)

    async def _leave_dead_track(self) -> None:
        """R5: if the track loses its last ready replica while it has traffic, stable gets that traffic."""
        observed = await self._observe()
        ready = observed.track(self.track).ready
        if observed.weight(self.track) and observed.track("stable").ready and not ready:
            log.warning("The %s has no ready replica any more: stable takes its traffic early.", self.track)
            await self._write(f"{self.track}_lost", 0)

    async def _return_traffic(self) -> None:
        for weight in [*self.return_weights, 0]:
            while not await self._lower(weight):
                pass

    async def _lower(self, weight: int) -> bool:
        """Lower the track's weight to this; False: replicas and commands have to be looked at again first."""
        state = await self._check_commands()
        await self._check_stable()
        await self._leave_dead_track()
        if state.pause:
            await self.commands.wait(LOOK_SECONDS)
            return False
        if weight >= (await self._observe()).weight(self.track):  # a restart never raises a weight again
            return True
        if not await reached(lambda: self._split(f"return_{100 - weight}", weight)):
            return False
        log.info("stable has %s %% of the traffic again.", 100 - weight)
        end = time.monotonic() + SETTLE_SECONDS
        while (remaining := end - time.monotonic()) > 0:
            await self._check_commands()
            await self.commands.wait(remaining)
        return True

    async def _check_stable(self) -> None:
        """R5, R18: if stable breaks under its traffic, the track that held gets it, as long as that is there."""
        observed = await self._observe()
        if observed.track("stable").ready:
            return
        if observed.track(self.track).ready and observed.weight(self.track) < 100:
            await self._write("stable_lost", 100)
        raise Ended(failure="stable lost its last ready replica while its traffic was being returned")

    async def _retire(self) -> None:
        end = ((await self._observe()).note.started_at or time.time()) + self.retire_after
        while True:
            await self._check_stable()
            state = await self._check_commands()
            if time.time() >= end and not state.pause:
                break
            remaining = end - time.time()
            await self.commands.wait(min(SETTLE_SECONDS, remaining) if remaining > 0 else SETTLE_SECONDS)
        await retire_beside(self.platform, self.target, self.fence)

    # --- commands -------------------------------------------------------------------------------------------------

    async def _check_commands(self) -> CommandState:
        """Read and answer the commands; an abort ends the promotion."""
        state = await self.commands.state()
        if state.abort:
            await self._abort(state.abort)
        if state.pause:
            await self.commands.answer(state.pause, EFFECTS_BETWEEN_HOLDS["pause"])
        promote = "It is being promoted: stable is changed without waiting."
        await self.commands.answer_all(state, {**EFFECTS_BETWEEN_HOLDS, "promote": promote})
        return state

    async def _abort(self, command: Command) -> None:
        """The traffic goes back to stable if all of it runs the old version; otherwise stable gets that back first."""
        observed = await self._observe()
        stable, good = observed.track("stable"), self.context.previous or observed.note.last_good
        whole = stable.ready > 0 and stable.updated == stable.ready
        effect = "Nothing good is known to go back to: the traffic stays where the version held."
        if whole and stable.digest != self.artifact.digest:
            await self._write("aborted", 0)
            effect = "All traffic is back on stable."
        elif good is not None and good.digest != self.artifact.digest:
            # The track that held keeps the traffic until stable runs the old version again: the rollback sees to that.
            if observed.track(self.track).ready and observed.weight(self.track) < 100:
                await self._write("aborted", 100)
            await insist(lambda: self.platform.deploy(self.target, "stable", good, None, self.fence, restore=True))
            effect = f"{good.version} is being put back on stable."
        await self.commands.answer(command, effect)
        raise Ended(aborted=aborted_by(command))
