"""Capacity before traffic (R5): a stage's tracks get their replicas, and are ready, before the stage gets its traffic."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

from release_pipelines.core.errors import PlatformUnavailable
from release_pipelines.core.model.command import Command
from release_pipelines.core.model.track import Track
from release_pipelines.core.progression.commands import EFFECTS_BETWEEN_HOLDS
from release_pipelines.core.progression.missing import lacking
from release_pipelines.core.progression.waiting import insist
from release_pipelines.core.progression.watch import StageWatch

log = logging.getLogger(__name__)

READY_LOOK_SECONDS = 0.5
"""Pause between two looks at replicas that are not ready yet, in seconds."""


class NotReady(NamedTuple):
    """Why a stage has no capacity: a person aborted the release, or replicas cannot become ready."""

    abort: Command | None = None
    failure: str = ""


class Capacity:
    """Brings the tracks of a stage to their capacity.

    :param watch: the stage.
    :param replicas: replicas that the track needs for its traffic; ignored on stable, which keeps its own.
    """

    def __init__(self, watch: StageWatch, replicas: int) -> None:
        self.watch = watch
        self.context = watch.context
        self.stage = watch.stage
        self.replicas = replicas
        self._stable_lacks_since: float | None = None

    async def provide(self, *, serving: bool) -> NotReady | None:
        """Wait until all tracks are ready and nobody has paused the release; None: they are.

        :param serving: whether the version has traffic already: then losing its last ready replica is a failure.
        """
        commands, advancing = self.context.commands, None
        while True:
            state = await commands.state_in_stage()
            if state.abort:
                return NotReady(abort=state.abort)
            if state.pause:
                await commands.answer(state.pause, EFFECTS_BETWEEN_HOLDS["pause"])
            if advancing is not (state.pause is None):
                advancing = state.pause is None
                await (self._state_tracks() if advancing else self._stop_rolling())
            settled, failure = await self._advance(serving=serving, stated=advancing)
            failure = failure or await self._stable_lacks(serving=serving)
            settled = settled and self._stable_lacks_since is None
            if failure:
                return NotReady(failure=failure)
            if settled and advancing:  # the platform may have been away for long
                state = await commands.state_in_stage()
                if not state.pause and not state.abort:
                    return None
            else:
                await commands.wait(READY_LOOK_SECONDS)

    async def _stop_rolling(self) -> None:
        """Stop a rolling update at what it has replaced, or nearly: each further replica is more traffic for the version."""
        if self.stage.track != "stable":
            return
        status, artifact = (await insist(self.watch.observe)).track("stable"), self.context.artifact
        if status.digest == artifact.digest and not status.settled:
            share = min(self.stage.share, max(1, 100 * status.updated // max(1, status.wanted)))
            await self._deploy("stable", share=share)

    async def _state_tracks(self) -> None:
        context, previous = self.context, self.context.previous
        await self._deploy(self.stage.track, share=self.stage.share)
        if "baseline" in self._tracks() and previous is not None:
            await insist(
                lambda: context.platform.deploy(context.target, "baseline", previous, self.replicas, context.fence)
            )

    async def _deploy(self, track: Track, *, share: int) -> None:
        context, replicas = self.context, None if track == "stable" else self.replicas
        await insist(
            lambda: context.platform.deploy(
                context.target, track, context.artifact, replicas, context.fence, share=share
            )
        )

    def _tracks(self) -> list[Track]:
        baseline: list[Track] = ["baseline"] if self.watch.traffic.weight("baseline") else []
        return [self.stage.track, *baseline]

    async def _advance(self, *, serving: bool, stated: bool) -> tuple[bool, str | None]:
        """Whether all tracks are settled, and why one cannot become so.

        :param stated: whether the version is meant to be there now: what else is on stable was put there by somebody else.
        """
        context, all_settled = self.context, True
        for track in self._tracks():
            status = await insist(lambda: context.platform.advance(context.target, track, context.fence))  # noqa: B023
            if status.failure:
                return False, status.failure
            if track == "stable" and stated and status.digest != context.artifact.digest:
                if given_up := await self.watch.state_again(status):
                    return False, given_up
                all_settled = False
            if serving and not status.ready and track == self.stage.track != "stable":
                return False, f"no replica of {context.artifact.version} is ready any more"
            all_settled = all_settled and status.settled
        return all_settled, None

    async def _stable_lacks(self, *, serving: bool) -> str | None:
        """R5: a version beside stable gets no more traffic while stable lacks replicas: its way back is too weak.

        A version that has traffic waits as long as it takes: it is safer where it is, and people are told. One that has none yet
        waits for ``ready_timeout``; then this is why the stage cannot begin.
        """
        if self.stage.track == "stable":
            return None
        try:
            stable, target = (await self.watch.observe()).track("stable"), self.context.target
        except PlatformUnavailable as error:  # the router may answer in time all the same
            log.warning("%s Looking again.", error)
            return None
        needed, now = lacking(stable, self.watch.stable_replicas), time.monotonic()
        if stable.ready >= needed:
            self._stable_lacks_since = None
            return None
        sentence = f"stable has {stable.ready} of {needed} replicas ready"
        if self._stable_lacks_since is None:
            self._stable_lacks_since = now
            log.warning("%s gets no more traffic for now: %s.", self.stage.track, sentence)
            self.watch.notes.append(f"No more traffic for the {self.stage.track} for now: {sentence}.")
        waited = now - self._stable_lacks_since
        if serving or waited < target.workload.ready_timeout:
            return None
        return f"{sentence}, for {waited:.0f} s: the {self.stage.track} gets no traffic that stable could not take back"
