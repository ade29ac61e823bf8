"""What follows from a stage's verdict: the release goes on, the traffic goes back, or a person decides (R4, R18)."""

from __future__ import annotations

import logging
import time
from typing import Any

from release_pipelines.core.model.command import Command, subject
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.progression.capacity import READY_LOOK_SECONDS, Capacity, NotReady
from release_pipelines.core.progression.closing import is_closed_verdict
from release_pipelines.core.progression.waiting import insist
from release_pipelines.core.progression.watch import LOOK_SECONDS, StageWatch
from release_pipelines.core.verdicts import action

log = logging.getLogger(__name__)


class Decision:
    """Carries out what follows from the verdict of a stage.

    :param watch: the stage.
    :param capacity: the capacity of its tracks, which a rolling release needs again after a person lets it go on.
    """

    def __init__(self, watch: StageWatch, capacity: Capacity) -> None:
        self.watch = watch
        self.context = watch.context
        self.stage = watch.stage
        self.capacity = capacity

    async def carry_out(self, note: RouteNote, verdict: Verdict) -> dict[str, Any]:
        """Write the verdict with the traffic that follows from it, and wait for a person if one decides. Returns the event."""
        log.info("%s: %s", verdict.judgement, verdict.sentence)
        if needs_person(self.stage, verdict):
            return await self.wait_for_person(note, verdict)
        give_back = action(self.stage.analysis, verdict) != "go_on"
        event = self.watch.event(await self.watch.write(note, verdict, give_back=give_back))
        if give_back:
            await self.watch.show()
        return event

    async def without_capacity(self, note: RouteNote, not_ready: NotReady) -> dict[str, Any]:
        """The stage gets no traffic. Returns the event."""
        if not_ready.abort:
            return await self.watch.abort(note, not_ready.abort)
        own = note.model_copy(update={"started_at": time.time()})  # no measurements of an earlier step
        return await self.carry_out(own, self.watch.failed(not_ready.failure, self.watch.served(note)))

    async def wait_for_person(self, note: RouteNote, verdict: Verdict) -> dict[str, Any]:
        """Wait until a person gives a command, or marks the task; only readiness is checked. Returns the event.

        `skip` and `promote` let the release go on, `abort` ends it. This ends by itself only when a track that kept its
        traffic dies and a failing verdict needs no person, and, with ``{"waits": sentence}``, when people have to be told.
        """
        commands = self.context.commands
        keeps_traffic = action(self.stage.analysis, verdict) == "hold"
        verdict = await self.watch.write(note, verdict, give_back=not keeps_traffic)
        log.warning(
            "%s Waiting for a person: `skip` (or mark this task as success) to go on, `abort` (or failed) to go back.",
            verdict.sentence,
        )
        checked_at, since, reverted = time.monotonic(), verdict.decided_at, False
        while True:
            state = await commands.state_in_stage()
            if state.abort:
                return await self.watch.abort(note, state.abort)
            promote = state.promote if state.promote and state.promote.at >= since else None
            if go_on := state.skip(since) or promote:
                return await self._go_on(note, verdict, go_on, given_back=not keeps_traffic)
            if state.pause:
                await commands.answer(state.pause, "It waits for a person already.")
            if self.context.tell_at is not None and time.time() >= self.context.tell_at:
                return {"waits": verdict.sentence, "notes": self.watch.notes}
            if time.monotonic() - checked_at >= LOOK_SECONDS:
                checked_at, failed = time.monotonic(), await self._check_replicas(keeps_traffic=keeps_traffic)
                if failed and not self.stage.wait_for_person:
                    return await self.carry_out(note, failed)
                if failed:
                    await self.watch.write(note, failed, give_back=True)
                    keeps_traffic = False
            reverted = reverted or keeps_traffic or await self._revert()
            await commands.wait(LOOK_SECONDS if reverted else READY_LOOK_SECONDS)

    async def _revert(self) -> bool:
        """Advance stable toward the old version if it was replaced (rolling); returns whether that has ended."""
        context = self.context
        if self.stage.track != "stable" or context.previous is None:
            return True
        status = await insist(lambda: context.platform.advance(context.target, "stable", context.fence))
        return status.settled or status.failure is not None

    async def _go_on(self, note: RouteNote, verdict: Verdict, command: Command, *, given_back: bool) -> dict[str, Any]:
        """A person overrules the verdict: it passes. Where stable was reverted meanwhile, the version is rolled out again."""
        if given_back and self.stage.track == "stable":
            if not_ready := await self.capacity.provide(serving=False):
                return await self.without_capacity(note, not_ready)
            given_back = False
        passed = passed_by(verdict, f"{subject(command)} let it go on although it did not pass")
        event = self.watch.event(await self.watch.write(note, passed, give_back=given_back))
        await self.context.commands.answer(command, f"{self.stage.name} goes on, as passed.")
        return event

    async def _check_replicas(self, *, keeps_traffic: bool) -> Verdict | None:
        observed = await insist(self.watch.observe)
        self.watch.check_step(observed)
        status = observed.track(self.stage.track)
        if keeps_traffic and (status.failure or status.ready == 0):
            version = self.context.artifact.version
            return self.watch.failed(status.failure or f"no replica of {version} is ready any more")
        return None


def passed_by(verdict: Verdict, who: str) -> Verdict:
    """The verdict as passed, because a person says so. Evidence that the person has overruled is dropped."""
    evidence = {} if verdict.judgement == "fail" else verdict.evidence
    sentence = f"{who}: {verdict.sentence or 'not judged'}"
    return verdict.model_copy(update={"judgement": "pass", "sentence": sentence, "evidence": evidence})


def needs_person(stage: Stage, verdict: Verdict) -> bool:
    """Whether a person decides what follows from the verdict (R18); nobody can overrule a calendar."""
    if is_closed_verdict(verdict):
        return False
    follows = action(stage.analysis, verdict)
    return follows == "hold" or (follows == "rollback" and stage.wait_for_person)
