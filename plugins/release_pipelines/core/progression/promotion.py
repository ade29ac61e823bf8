"""Promotion: stable gets the judged version, then its traffic, and the track beside it is removed (R18)."""

from __future__ import annotations

import logging
import time
from typing import Any

from release_pipelines.core.capacity import weights_of_pods
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.command import Command, CommandState
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.route import NOT_TAKEN
from release_pipelines.core.model.stage import OnDrift
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from release_pipelines.core.ports.router import drains_within
from release_pipelines.core.progression.closing import Closing
from release_pipelines.core.progression.commands import EFFECTS_BETWEEN_HOLDS, aborted_by
from release_pipelines.core.progression.context import ReleaseContext
from release_pipelines.core.progression.restating import Restating
from release_pipelines.core.progression.retirement import retire_beside
from release_pipelines.core.progression.returning import ReturnJudge
from release_pipelines.core.progression.waiting import first_of, insist, reached

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Pause between two looks at replicas and commands, in seconds."""
SETTLE_SECONDS = 1.0
"""Shortest pause after each weight, in seconds: a stable that breaks under load is noticed before it has all of it."""


class Ended(Exception):
    """The promotion ends early, with this event."""

    def __init__(self, **event: Any) -> None:
        super().__init__(str(event))
        self.event = event


class Undone(Exception):
    """Somebody else has put something else on stable."""

    def __init__(self, status: TrackStatus) -> None:
        super().__init__(status.named)
        self.status = status


class Promotion:
    """Keeps the old version for a while, rolls stable to the new one, gives it the traffic, removes the judged track.

    If the version held on stable itself (rolling, and every first release) it is only seen to that stable runs it. A person may
    pause it between two changes, and abort it: stable then gets the old version back.

    What stable runs is compared at every look: what somebody else put there is replaced a few times (R14), while the track that
    held has the traffic.

    :param context: the release.
    :param track: the track that the version held on.
    :param return_weights: falling weights of that track while its traffic goes to stable, in percent; 0 is added last.
    :param keep_old: seconds, from the end of the bake, that the old version keeps running on stable.
    :param retire_after: seconds that the track keeps running after it lost its traffic (R15).
    :param return_hold: seconds that stable is watched after each of these weights.
    :param analysis: how stable is judged meanwhile, beside the track that held; None: by its replicas only.
    :param on_drift: ``abort``: what somebody else put on stable ends the promotion at once.
    """

    def __init__(
        self,
        context: ReleaseContext,
        track: Track,
        return_weights: list[int],
        keep_old: float,
        retire_after: float,
        return_hold: float = 0.0,
        analysis: Analysis | None = None,
        on_drift: OnDrift = "reassert",
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
        self.retire_after = drains_within(context.target, retire_after)
        self.return_hold = return_hold
        self.restating = Restating(self._state_stable, self.artifact, on_drift)
        self.judge: ReturnJudge | None = None
        if analysis and track != "stable":
            # Each weight is judged by itself, and together they have the chance of a false alarm that one analysis has.
            each = analysis.model_copy(update={"alpha": analysis.alpha / (len(return_weights) + 1)})
            self.judge = ReturnJudge(context, track, each)

    async def run(self) -> dict[str, Any]:
        """Promote.

        :return: the event: ``{"promoted": true}``; ``{"failure": sentence}``: stable did not take the version or did not stay
            ready, and the healthy track has the traffic; ``{"aborted": {"by", "reason"}}``. ``notes`` where somebody else
            changed stable, and it was set again.
        """
        try:
            if self.track != "stable":
                await self._keep_old()
                await insist(self._state_stable)
            while not await self._taken():
                pass
        except Ended as ended:
            return self._with_notes(ended.event)
        await self._write("promoted", 0, done=True)
        return self._with_notes({"promoted": True})

    def _with_notes(self, event: dict[str, Any]) -> dict[str, Any]:
        return {**event, "notes": self.restating.notes} if self.restating.notes else event

    async def _taken(self) -> bool:
        """Whether stable has the version, and all of its traffic; False: it was set again, and everything begins anew."""
        try:
            await self._roll_stable()
            if self.track != "stable":
                await self._return_traffic()
                await self._retire()
            await self._check_commands()  # an abort that comes in time counts
            await self._look_at_stable()
        except Undone as undone:
            await self._set_again(undone.status)
            return False
        return True

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
        observed = await insist(lambda: self.platform.observe(self.target))
        self.context.show(observed)
        return observed

    # --- what stable runs -----------------------------------------------------------------------------------------

    async def _state_stable(self) -> None:
        await self.platform.deploy(self.target, "stable", self.artifact, None, self.fence)

    async def _look_at_stable(self) -> bool:
        """Whether stable runs the version on all replicas, and may have more traffic.

        If it breaks under its traffic, the track that held gets it, as long as that is there (R5, R18).
        """
        stable = (await self._observe()).track("stable")
        if self.restating.undone(stable):
            raise Undone(stable)
        if not stable.ready and self.track != "stable":
            await self._stop("stable_lost", "stable lost its last ready replica while its traffic was being returned")
        if stable.runs(self.artifact.digest) and stable.full:
            return True
        stable = await insist(lambda: self.platform.advance(self.target, "stable", self.fence))
        if self.restating.undone(stable):
            raise Undone(stable)
        if stable.failure and self.track != "stable":
            await self._stop("stable_lost", stable.failure)
        return stable.runs(self.artifact.digest) and stable.full

    async def _set_again(self, status: TrackStatus) -> None:
        """R14: the track that held gets the traffic, and stable the version again; or this is given up, for a person (R18)."""
        observed = await self._observe()
        beside = self.track != "stable" and bool(observed.track(self.track).ready)
        if beside and observed.weight(self.track) < 100:
            await self._write("stable_changed", 100)
        if given_up := await self.restating.again(status):
            if beside:
                await self._write(NOT_TAKEN, 100)
            raise Ended(failure=given_up)

    async def _stop(self, step: str, failure: str) -> None:
        """The track that held gets the traffic, as long as it is there, and the promotion ends."""
        observed = await self._observe()
        if observed.track(self.track).ready and observed.weight(self.track) < 100:
            await self._write(step, 100)
        raise Ended(failure=failure)

    # --- steps ----------------------------------------------------------------------------------------------------

    async def _keep_old(self) -> None:
        """Keep the old version on stable for ``keep_old`` seconds, while a rollback is one write.

        The clock starts at the end of the bake, which is in the note (R6). A window that has closed meanwhile is heeded as in that stage:
        once stable is being changed nothing asks any more, since going on is the shortest way to one version.
        """
        observed = await self._observe()
        if observed.track("stable").digest == self.artifact.digest:
            return  # after a restart: stable is being changed already
        note = observed.note
        end = (note.verdict.decided_at if note.verdict else note.started_at or time.time()) + self.keep_old
        closing = Closing(self.context, note.step or "")
        while True:
            state = await self._check_commands()
            observed = await self._observe()
            verdict = observed.note.verdict
            if verdict and verdict.judgement == "fail" and observed.note.release == self.context.release:
                raise Ended(failure=verdict.sentence)  # it was judged on while the promotion was waited for
            await closing.look()
            note = await closing.kept(observed.note)
            if why := closing.over(note):
                raise Ended(failure=why)
            if not state.pause and not closing.holds and (time.time() >= end or state.promote):
                return
            if not observed.track(self.track).ready:
                if observed.track("stable").ready:
                    await self._write(f"{self.track}_lost", 0)
                raise Ended(failure=f"no replica of {self.artifact.version} is ready any more on {self.track}")
            remaining = end - time.time()
            await self.commands.wait(min(LOOK_SECONDS, remaining) if remaining > 0 else LOOK_SECONDS)

    async def _roll_stable(self) -> None:
        """Wait until stable has the version. One that was judged on stable itself may just be moving a replica."""
        logged = None
        while True:
            await self._check_commands()
            status = await insist(lambda: self.platform.advance(self.target, "stable", self.fence))
            await self._leave_dead_track()
            if self.restating.undone(status):
                raise Undone(status)
            if status.settled or (self.track == "stable" and status.runs(self.artifact.digest)):
                return
            if status.failure:
                raise Ended(failure=status.failure)
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
        observed = await self._observe()
        stable, beside = observed.track("stable").wanted, observed.track(self.track).wanted
        for weight in [*weights_of_pods(self.target, self.return_weights, stable, beside), 0]:
            while not await self._lower(weight):
                pass
            await self._hold(weight)

    async def _lower(self, weight: int) -> bool:
        """Lower the track's weight to this; False: replicas and commands have to be looked at again first."""
        state = await self._check_commands()
        fit = await self._look_at_stable()
        await self._leave_dead_track()
        if weight >= (await self._observe()).weight(self.track):  # a restart never raises a weight again
            return True
        if state.pause or not fit:  # no more traffic for a stable that lacks replicas
            await self.commands.wait(LOOK_SECONDS)
            return False
        if not await reached(lambda: self._split(_step(weight), weight)):
            return False
        log.info("stable has %s %% of the traffic again.", 100 - weight)
        return True

    async def _hold(self, weight: int) -> None:
        """Watch stable at this weight: its replicas, and its requests beside those of the track that held (R3)."""
        note = (await self._observe()).note
        if note.step != _step(weight) or note.started_at is None:
            return  # after a restart at a lower weight, or the track has died
        since, hold = note.started_at, max(self.return_hold, SETTLE_SECONDS)
        while True:
            state = await self._check_commands(since)
            await self._look_at_stable()
            await self._leave_dead_track()
            await self._judge(weight, since)
            shortened = state.promote or state.skip(since)
            if time.time() >= since + (SETTLE_SECONDS if shortened else hold) and not state.pause:
                return
            remaining = since + hold - time.time()
            await self.commands.wait(min(LOOK_SECONDS, remaining) if remaining > 0 else LOOK_SECONDS)

    async def _judge(self, weight: int, since: float) -> None:
        if self.judge is None:
            return
        # A service that takes its time keeps no command waiting.
        worse = await first_of(self.judge.worse(100 - weight, since), self.commands.wait())
        if worse and (await self._observe()).track(self.track).ready:
            await self._stop("stable_worse", f"stable got worse with {100 - weight} % of the traffic: {worse}")

    async def _retire(self) -> None:
        since = (await self._observe()).note.started_at or time.time()
        end = since + self.retire_after
        while True:
            fit = await self._look_at_stable()
            state = await self._check_commands()
            if time.time() >= end and not state.pause and fit:
                break
            remaining = end - time.time()
            await self.commands.wait(min(SETTLE_SECONDS, remaining) if remaining > 0 else SETTLE_SECONDS)
        await retire_beside(self.platform, self.target, self.fence)

    # --- commands -------------------------------------------------------------------------------------------------

    async def _check_commands(self, held_since: float | None = None) -> CommandState:
        """Read and answer the commands; an abort ends the promotion.

        :param held_since: Unix time in seconds since when a weight is held, which `skip` and `promote` end; None: none is.
        """
        state = await self.commands.state()
        if state.abort:
            await self._abort(state.abort)
        if state.pause:
            await self.commands.answer(state.pause, EFFECTS_BETWEEN_HOLDS["pause"])
        if held_since is not None and (skip := state.skip(held_since)):
            await self.commands.answer(skip, "This weight's hold ended: stable gets its traffic without more waiting.")
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


def _step(weight: int) -> str:
    """The name in notes of the step that leaves the track this weight."""
    return f"return_{100 - weight}"
