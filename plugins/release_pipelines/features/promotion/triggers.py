"""The version held: it becomes stable, gets the traffic there, and the track that it held on goes (R18)."""

from __future__ import annotations

import time
from typing import Any

from release_pipelines.airflow.triggers import PlatformTrigger, insist, reached
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.command import Standing
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from release_pipelines.core.ports.platform import Platform
from release_pipelines.core.progression.commands import BETWEEN_HOLDS, Steering, aborted_by
from release_pipelines.core.progression.retirement import retire_beside
from release_pipelines.core.progression.watch import note_of

LOOK_SECONDS = 0.5
SETTLE_SECONDS = 1.0
"""Pause after each weight on the way back, so that a stable that breaks under load is seen before it has all of it."""


class Ended(Exception):
    """The promotion ends early, with this event."""

    def __init__(self, **event: Any) -> None:
        super().__init__(str(event))
        self.event = event


class PromoteTrigger(PlatformTrigger):
    """Let the old version run on for a while, roll stable to the new digest, give it the traffic, retire the track that held.

    Where the version held on stable itself (rolling, and every first release) there is nothing left to do but to say so.
    A person may pause it between two changes, and abort it: stable then gets the old version back.

    :param target: the app in its environment.
    :param release: the release's id.
    :param artifact: what held.
    :param fence: the writer's fence.
    :param track: where it held.
    :param return_weights: falling weights of that track on the way; 0 comes last by itself.
    :param keep_old: seconds, from the end of the bake, that the old version keeps running on stable.
    :param retire_after: seconds that the track keeps running after it lost its traffic (R15).
    :param previous: what stable gets back when somebody aborts while it is being rolled.

    Event: ``{"promoted": true}``; ``{"failure": sentence}``: stable did not become or stay ready, and the healthy track has the
    traffic; ``{"aborted": {"by", "reason"}}``.
    """

    def __init__(
        self,
        *,
        target: dict[str, Any],
        release: str,
        artifact: dict[str, Any],
        fence: int,
        track: Track,
        return_weights: list[int],
        keep_old: float,
        retire_after: float,
        previous: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            target=target,
            release=release,
            artifact=artifact,
            fence=fence,
            track=track,
            return_weights=return_weights,
            keep_old=keep_old,
            retire_after=retire_after,
            previous=previous,
        )
        self.release = release
        self.artifact = Artifact.model_validate(artifact)
        self.fence = fence
        self.track: Track = track
        self.return_weights = return_weights
        self.keep_old = keep_old
        self.retire_after = retire_after
        self.previous = Artifact.model_validate(previous) if previous else None
        self.steering = Steering(release)

    async def watch(self, platform: Platform) -> dict[str, Any]:
        try:
            if self.track != "stable":
                await self._keep_old(platform)
                await self._roll_stable(platform)
                await self._return_traffic(platform)
                await self._retire(platform)
            await self._steered(platform)  # whoever aborts in time is heard
        except Ended as ended:
            return ended.event
        await self._write(platform, "promoted", 0, done=True)
        return {"promoted": True}

    async def _write(self, platform: Platform, step: str, weight: int, *, done: bool = False) -> None:
        """:meth:`_split`, again and again while the platform cannot be reached."""
        await insist(lambda: self._split(platform, step, weight, done=done))

    async def _split(self, platform: Platform, step: str, weight: int, *, done: bool = False) -> None:
        """The track's weight, in one write with what is kept. What held is the last good version only when it is done."""
        note = note_of(await self._look(platform))
        since = note.started_at if done and note.step == step else time.time()
        traffic = share_with(self.track, weight) if weight else ALL_TO_STABLE
        kept = RouteNote(
            release=self.release,
            step=step,
            traffic=traffic,
            started_at=since,
            last_good=self.artifact if done else note.last_good,
            done=done,
        )
        await platform.split(self.target, traffic, kept, self.fence)

    async def _look(self, platform: Platform) -> Observed:
        return await insist(lambda: platform.observe(self.target))

    # --- parts ------------------------------------------------------------------------------------------------

    async def _keep_old(self, platform: Platform) -> None:
        """The way back is one write so long. Its clock began when the bake ended, which the note knows (R6)."""
        observed = await self._look(platform)
        if observed.track("stable").digest == self.artifact.digest:
            return  # a restart finds stable being changed already
        note = note_of(observed)
        end = (note.verdict.decided_at if note.verdict else note.started_at or time.time()) + self.keep_old
        while True:
            held = await self._steered(platform)
            if not held.pause and (time.time() >= end or held.promote):
                return
            observed = await self._look(platform)
            if not observed.track(self.track).ready:
                if observed.track("stable").ready:
                    await self._write(platform, f"{self.track}_lost", 0)
                raise Ended(failure=f"no replica of {self.artifact.version} is ready any more on {self.track}")
            left = end - time.time()
            await self.steering.wait(min(LOOK_SECONDS, left) if left > 0 else LOOK_SECONDS)

    async def _roll_stable(self, platform: Platform) -> None:
        await insist(lambda: platform.deploy(self.target, "stable", self.artifact, None, self.fence))
        said = None
        while True:
            await self._steered(platform)
            status = await insist(lambda: platform.advance(self.target, "stable", self.fence))
            await self._leave_dead_track(platform)
            if status.failure:
                raise Ended(failure=status.failure)
            if status.settled:
                return
            if (status.ready, status.waiting) != said:
                said = (status.ready, status.waiting)
                self.log.info("stable: %s of %s ready. %s", status.ready, status.wanted, status.waiting or "")
            await self.steering.wait(LOOK_SECONDS)

    async def _leave_dead_track(self, platform: Platform) -> None:
        """R5: a track that loses its last ready replica while it serves gives its traffic to what stable has."""
        observed = await self._look(platform)
        stable, held = observed.track("stable"), observed.track(self.track)
        if observed.weight(self.track) and stable.ready and not held.ready:
            self.log.warning("The %s has no ready replica any more: stable takes its traffic early.", self.track)
            await self._write(platform, f"{self.track}_lost", 0)

    async def _return_traffic(self, platform: Platform) -> None:
        for weight in [*self.return_weights, 0]:
            while not await self._returned(platform, weight):
                pass

    async def _returned(self, platform: Platform, weight: int) -> bool:
        """The track's weight is this or lower; False: look again at replicas and people first."""
        held = await self._steered(platform)
        await self._lost_stable(platform)
        await self._leave_dead_track(platform)
        if held.pause:
            await self.steering.wait(LOOK_SECONDS)
            return False
        if weight >= (await self._look(platform)).weight(self.track):  # a restart never raises what was lowered
            return True
        if not await reached(lambda: self._split(platform, f"return_{100 - weight}", weight)):
            return False
        self.log.info("stable has %s %% of the traffic again.", 100 - weight)
        end = time.monotonic() + SETTLE_SECONDS
        while (left := end - time.monotonic()) > 0:
            await self._steered(platform)
            await self.steering.wait(left)
        return True

    async def _lost_stable(self, platform: Platform) -> None:
        """R5, R18: a stable that breaks under its traffic gives it to the track that held, as long as that is there."""
        observed = await self._look(platform)
        if observed.track("stable").ready:
            return
        if observed.track(self.track).ready and observed.weight(self.track) < 100:
            await self._write(platform, "stable_lost", 100)
        raise Ended(failure="stable lost its last ready replica while its traffic was being returned")

    async def _retire(self, platform: Platform) -> None:
        end = (note_of(await self._look(platform)).started_at or time.time()) + self.retire_after
        while True:
            await self._lost_stable(platform)
            held = await self._steered(platform)
            if time.time() >= end and not held.pause:
                break
            left = end - time.time()
            await self.steering.wait(min(SETTLE_SECONDS, left) if left > 0 else SETTLE_SECONDS)
        await retire_beside(platform, self.target, self.fence)

    # --- people -----------------------------------------------------------------------------------------------

    async def _steered(self, platform: Platform) -> Standing:
        """What people want now; an abort ends the promotion here."""
        held = await self.steering.look()
        if held.abort:
            await self._abort(platform, held.abort)
        if held.pause:
            await self.steering.say(held.pause, BETWEEN_HOLDS["pause"])
        promote = "It is being promoted: stable is changed without waiting."
        await self.steering.say_open(held, {**BETWEEN_HOLDS, "promote": promote})
        return held

    async def _abort(self, platform: Platform, command: Any) -> None:
        """The traffic goes back to a stable that is whole; one that is being changed gets the old version back first."""
        observed = await self._look(platform)
        stable, good = observed.track("stable"), self.previous or note_of(observed).last_good
        whole = stable.ready > 0 and stable.updated == stable.ready
        effect = "Nothing good is known to go back to: the traffic stays where the version held."
        if whole and stable.digest != self.artifact.digest:
            await self._write(platform, "aborted", 0)
            effect = "All traffic is back on stable."
        elif good is not None and good.digest != self.artifact.digest:
            # The track that held keeps the traffic until stable runs the old version again: the rollback sees to that.
            if observed.track(self.track).ready and observed.weight(self.track) < 100:
                await self._write(platform, "aborted", 100)
            await insist(lambda: platform.deploy(self.target, "stable", good, None, self.fence, restore=True))
            effect = f"{good.version} is being put back on stable."
        await self.steering.say(command, effect)
        raise Ended(aborted=aborted_by(command))
