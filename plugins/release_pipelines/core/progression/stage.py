"""One stage of a strategy: capacity, then traffic, then a hold in which the version is judged (R3 to R6)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from release_pipelines.core.errors import FenceLost, PlatformUnavailable
from release_pipelines.core.model.command import given_by
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.units import lasting
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.progression.capacity import Capacity, NotReady
from release_pipelines.core.progression.closing import Closing
from release_pipelines.core.progression.commands import is_abort_verdict
from release_pipelines.core.progression.context import ReleaseContext
from release_pipelines.core.progression.decision import Decision, needs_person
from release_pipelines.core.progression.hold import HoldLoop, has_traffic
from release_pipelines.core.progression.meanwhile import judge_meanwhile
from release_pipelines.core.progression.stand_in import judging
from release_pipelines.core.progression.waiting import first_of, insist, reached
from release_pipelines.core.progression.watch import StageWatch
from release_pipelines.core.verdicts import action

log = logging.getLogger(__name__)

TRAFFIC = "traffic"
"""Kind of the event that a stage has got its traffic."""

HEARD_SECONDS = 1.0
"""Maximum time until a command that another loop of the release has read is read here, too, in seconds."""


class StageProgression:
    """Brings the new version to its capacity, gives it its traffic, and judges it until the stage has a verdict.

    All that a restart needs is in the note on the route: the stage's clock, its traffic, and its verdict, which is written
    together with the traffic that follows from it. After a restart the measurements are taken again, at the same absolute
    times, so the verdict is the same.

    :param context: the release.
    :param stage: the stage.
    :param replicas: replicas that the track needs for its traffic; ignored on stable, which keeps its own.
    :param stable_replicas: replicas that stable had before the release; None: as many as are wanted there.
    """

    def __init__(
        self, context: ReleaseContext, stage: Stage, replicas: int, stable_replicas: int | None = None
    ) -> None:
        self.context = context
        self.stage = stage
        self.watch = StageWatch(context, stage, replicas, stable_replicas)
        self.closing = Closing(context, stage.name)
        self.capacity = Capacity(self.watch, replicas)
        self.decision = Decision(self.watch, self.capacity)
        self.told: asyncio.Task[None] | None = None
        """What is being told to the history: a task that nobody holds may be lost."""

    async def run(self) -> dict[str, Any]:
        """Run until the verdict is carried out.

        :return: the event: ``{"verdict", "samples", "notes", "aborted"}``, or ``{"hurried": who}`` for a stage that a
            person's `promote` made needless.
        """
        if ended := await self._until_open():
            return ended
        with judging(self.context.release):
            return await self._run()

    async def _until_open(self) -> dict[str, Any] | None:
        """Before the version gets more traffic its window has to be open; the event where it ends before that."""
        if not await self.closing.look():
            return None
        note = (await insist(self.watch.observe)).note
        if self._failed_before(note) or (self.watch.owns(note) and note.started_at is not None):
            return None  # the hold heeds the window itself
        ended = await first_of(judge_meanwhile(self.watch, self.context.commands), self._opened(note))
        return ended or None

    async def _opened(self, note: RouteNote) -> dict[str, Any]:
        if not (why := await self.closing.opened(note)):
            return {}
        own = note.model_copy(update={"started_at": time.time()})  # no measurements of an earlier step
        return await self.decision.carry_out(own, self.watch.failed(why, self.watch.served(note)))

    async def begin(self) -> None:
        """Give the stage its traffic now, where nothing stands in the way: :meth:`run` goes on from there.

        Whoever runs the stage gets to it a few seconds later. Nothing is waited for here, and nobody is answered.
        """
        observed, commands = await self.watch.observe(), await self.context.commands.state()
        note, status = observed.note, observed.track(self.stage.track)
        ready = (
            status.settled
            and status.runs(self.context.artifact.digest)
            and status.ready >= (self.watch.replicas or status.wanted)
        )
        told = commands.abort or commands.pause or commands.promote or await self.closing.look()
        if ready and not told and not self.watch.owns(note) and self._failed_before(note) is None:
            await self._begin(note, serving=observed.weight(self.stage.track) > 0)

    async def _run(self) -> dict[str, Any]:
        commands = self.context.commands
        observed = await insist(self.watch.observe)
        note = observed.note
        if (failed := self._failed_before(note)) is not None:
            return self.watch.event(failed)
        if self.watch.owns(note) and note.verdict:
            return await self._repeat(note, note.verdict)
        if not self.watch.owns(note) or note.started_at is None:
            state = await commands.state_in_stage()
            if state.promote and not self.stage.last and not state.abort:
                return {"hurried": given_by(state.promote)}
            started = await self._begin(note, serving=observed.weight(self.stage.track) > 0)
            if isinstance(started, NotReady):
                return await self.decision.without_capacity(note, started)
            if isinstance(started, Verdict):
                return self.watch.event(started)
            note = started
        try:
            return await HoldLoop(self.watch, self.decision, self._begin).run(note)
        except FenceLost:  # by the release itself, when its heartbeat was the first to read an abort
            await commands.wait(HEARD_SECONDS)
            state = await commands.state()
            if not state.abort:
                raise
            return await self.watch.abort(note, state.abort)

    def _failed_before(self, note: RouteNote) -> Verdict | None:
        """The verdict of a stage before, if the version has failed since that passed: the traffic is back already."""
        if note.release != self.context.release or self.watch.owns(note):
            return None
        return note.verdict if note.verdict and note.verdict.judgement == "fail" else None

    async def _failed_meanwhile(self) -> Verdict | None:
        try:
            return self._failed_before((await self.watch.observe()).note)
        except PlatformUnavailable:  # the write that follows says so
            return None

    async def _repeat(self, note: RouteNote, verdict: Verdict) -> dict[str, Any]:
        """The event of a verdict from before a restart, with the same measurements."""
        since = note.model_copy(update={"started_at": note.started_at or verdict.decided_at})
        await self.watch.measure(since, verdict.decided_at)
        abort = (await self.context.commands.state()).abort
        if is_abort_verdict(verdict, abort):
            await self.watch.restore_stable()
            return self.watch.event(verdict, abort)
        if needs_person(self.stage, verdict):
            return await self.decision.wait_for_person(note, verdict)
        if action(self.stage.analysis, verdict) != "go_on":
            await self.watch.restore_stable()
        return self.watch.event(verdict)

    async def _begin(self, note: RouteNote, *, serving: bool) -> RouteNote | NotReady | Verdict:
        """R5: capacity before traffic. Returns the note that starts the stage's clock, or the verdict if the version has failed."""
        context, traffic = self.context, self.watch.traffic
        while True:
            if not_ready := await self.capacity.provide(serving=serving):
                return not_ready
            if failed := await self._failed_meanwhile():
                return failed
            now = time.time()
            started = note.followed_by(
                release=context.release,
                step=self.stage.name,
                traffic=traffic,
                started_at=now,
                served_since=(note.served_since if note.release == context.release else None) or now,
                evidence=evidence_before(note, context.release),
            )
            if await reached(lambda: context.platform.split(context.target, traffic, started, context.fence)):  # noqa: B023
                log.info(
                    "%s: %s for at least %s.", self.stage.name, has_traffic(self.stage), lasting(self.stage.hold.min)
                )
                self.told = asyncio.create_task(self._tell_traffic(now))  # which keeps no verdict waiting
                return started

    async def _tell_traffic(self, at: float) -> None:
        """The history has when each stage got its traffic."""
        told = {"step": self.stage.name, "weight": self.stage.weight, "at": at}
        await self.context.record(TRAFFIC, f"{self.stage.name}: {has_traffic(self.stage)}", told)


def evidence_before(note: RouteNote, release: str) -> dict[str, Any]:
    """Evidence of the sequential tests from the stages before. That of testers or mirrored requests is not comparable."""
    if note.release != release or (note.traffic and (note.traffic.testers or note.traffic.mirror)):
        return {}
    return note.verdict.evidence if note.verdict else note.evidence
