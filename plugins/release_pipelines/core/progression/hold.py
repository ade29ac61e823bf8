"""The hold of a stage: how long it lasts, and what ends it early: enough evidence, a bad version, or a person."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

from release_pipelines.core.model.command import Command, CommandState, subject
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.progression.capacity import READY_LOOK_SECONDS, NotReady
from release_pipelines.core.progression.closing import Closing
from release_pipelines.core.progression.commands import EFFECTS_BETWEEN_HOLDS
from release_pipelines.core.progression.decision import Decision, passed_by
from release_pipelines.core.progression.telling import Telling
from release_pipelines.core.progression.waiting import first_of
from release_pipelines.core.progression.watch import ANSWER_SECONDS, HURRY_SECONDS, LOOK_SECONDS, StageWatch
from release_pipelines.core.verdicts import waits_until


class Begin(Protocol):
    """Brings the version to its capacity, and gives it the stage's traffic."""

    async def __call__(self, note: RouteNote, *, serving: bool) -> RouteNote | NotReady | Verdict: ...


class HoldLoop:
    """Watches the version while it has the stage's traffic, until there is a verdict.

    :param watch: the stage.
    :param decision: carries out the verdict.
    :param begin: begins the stage, with a clock of its own; also when somebody else has undone it.
    """

    def __init__(self, watch: StageWatch, decision: Decision, begin: Begin) -> None:
        self.watch = watch
        self.stage = watch.stage
        self.commands = watch.context.commands
        self.decision = decision
        self.begin = begin
        self.closing = Closing(watch.context, self.stage.name)
        self.telling = Telling(watch, has_traffic(self.stage), self.closing)

    async def run(self, note: RouteNote) -> dict[str, Any]:
        """Run until the verdict is carried out; returns the event.

        :param note: the stage's note on the route, with its clock.
        """
        watch, checked_at = self.watch, -math.inf
        while True:
            state = await self.commands.state_in_stage()
            if state.abort:
                return await watch.abort(note, state.abort)
            await self.closing.look()
            note = await self._clock(note, state)
            verdict = None
            if time.monotonic() - checked_at >= LOOK_SECONDS:
                checked_at, verdict = time.monotonic(), await watch.check(note)
            if verdict is None and watch.restated:
                begun = await self.begin(note, serving=True)
                if isinstance(begun, NotReady):
                    return await self.decision.without_capacity(note, begun)
                if isinstance(begun, Verdict):
                    return watch.event(begun)
                watch.begin_again()
                note = begun
                continue
            # A service that takes its time keeps no command waiting.
            verdict = verdict or await first_of(watch.check_switch(), self.commands.wait(self._hurry(note)))
            command = early_end(note, state) if watch.switched and not self.closing.holds else None
            if verdict is None and command:
                verdict = await self._verdict_of(note, command)
            earliest, latest = span(note, self.stage) if watch.switched else (math.inf, math.inf)
            verdict = verdict or await first_of(
                watch.judge(note, earliest, latest), self.commands.wait(self._hurry(note))
            )
            if verdict is None:
                await self.telling.tell(note, *span(note, self.stage))
            if verdict and verdict.judgement == "pass":  # measuring may have taken a while
                verdict = await watch.check(note) or verdict
            if verdict is None or verdict.judgement == "pass":  # what speaks against the version comes first
                verdict = await self._closed(note) or (None if self.closing.holds else verdict)
            if verdict:
                event = await self.decision.carry_out(note, verdict)
                if command:
                    await self._answer_early_end(command, event)
                return event
            await self.commands.wait(self._pause(note))

    def _hurry(self, note: RouteNote) -> float:
        """Longest time that a service is waited for, in seconds: what has to go back goes, but not for the wrong reason."""
        return HURRY_SECONDS if self.closing.over(note) else math.inf

    def _pause(self, note: RouteNote) -> float:
        """Seconds until the next measurement is due, the hold may end, or replicas and traffic are checked."""
        now, (earliest, latest) = time.time(), span(note, self.stage)
        ends = [
            it - now
            for it in (earliest, latest, *waits_until(latest, self.stage.analysis, self.stage.hold.max))
            if it > now
        ]
        if (changes_at := self.closing.changes_at(note)) is not None and changes_at > now:
            ends.append(changes_at - now)
        check = LOOK_SECONDS if self.watch.switched else READY_LOOK_SECONDS
        return max(0.02, min(self.watch.next_measurement_in(note), check, *(it + 0.01 for it in ends)))

    async def _verdict_of(self, note: RouteNote, command: Command) -> Verdict:
        """The hold ends now because a person says so: as passed, unless the version is known to be bad."""
        verdict = await self.watch.judge_now(note, ANSWER_SECONDS)
        if verdict.judgement == "fail":
            return verdict
        return passed_by(verdict, f"{subject(command)} ended the hold early")

    async def _answer_early_end(self, command: Command, event: dict[str, Any]) -> None:
        verdict = event["verdict"]
        effect = f"The hold of {self.stage.name} ended, as passed."
        if verdict["judgement"] != "pass":
            effect = f"It goes back: {verdict['sentence']}."
        await self.commands.answer(command, effect)

    async def _clock(self, note: RouteNote, state: CommandState) -> RouteNote:
        """Stop the hold's clock, or let it go on; the traffic stays, and the version is judged all the time.

        A person stops it, and a window that has closed; it goes on when neither does any more.
        """
        before, note = note, await self.closing.noted(note)
        stopped = state.pause is not None or self.closing.holds
        opened = before.closed_at is not None and note.closed_at is None
        if stopped and note.paused_at is None:
            note = note.model_copy(update={"paused_at": time.time()})
        elif not stopped and (state.resume or opened) and note.paused_at is not None:
            paused = note.paused_for + time.time() - note.paused_at
            note = note.model_copy(update={"paused_at": None, "paused_for": paused})
        if note is not before:
            await self.watch.keep(note)
        if state.resume and before.paused_at is not None and note.paused_at is None:
            await self.commands.answer(state.resume, f"The clock of {self.stage.name} goes on.")
        if self.closing.holds:
            await self._answer_while_closed(note, state)
        for command in state.skips:
            if command.at < (note.started_at or 0):
                await self.commands.answer(command, EFFECTS_BETWEEN_HOLDS["skip"])
        if state.pause:
            await self.commands.answer(
                state.pause,
                f"The clock of {self.stage.name} stands still: {has_traffic(self.stage)}, and is judged on.",
            )
        elif state.resume:
            await self.commands.answer(state.resume, "It was not paused.")
        return note

    async def _closed(self, note: RouteNote) -> Verdict | None:
        """The verdict that gives the traffic back because the window has closed; asked again, since judging may have taken a while.

        A version that is bad by what is measured in the same second goes back for that.
        """
        await self.closing.look()
        why = self.closing.over(note)
        if not why:
            return None
        if (due := self.watch.next_measurement_in(note)) <= HURRY_SECONDS:
            await self.commands.wait(due)
        verdict = await self.watch.judge_now(note, HURRY_SECONDS) if self.watch.switched else None
        return verdict if verdict and verdict.judgement == "fail" else self.watch.failed(why)

    async def _answer_while_closed(self, note: RouteNote, state: CommandState) -> None:
        """A person cannot open a window: what would end the hold ends it once the window is open."""
        assert self.closing.standing is not None  # noqa: S101 - it is closed
        sentence = f"The window is closed ({self.closing.standing.sentence}): the hold of {self.stage.name} ends when it opens."
        for command in (state.skip(note.started_at or 0), state.resume):
            if command:
                await self.commands.answer(command, sentence)


def early_end(note: RouteNote, state: CommandState) -> Command | None:
    """The command by which a person ends this hold early: `promote`, or a `skip` given since the hold started."""
    return state.promote or state.skip(note.started_at or 0)


def span(note: RouteNote, stage: Stage) -> tuple[float, float]:
    """Unix times in seconds at which the hold may end (with enough evidence), and at which it ends; infinite while paused."""
    if note.paused_at is not None or note.started_at is None:
        return math.inf, math.inf
    since = note.started_at + note.paused_for
    return since + stage.hold.min, since + stage.hold.max


def has_traffic(stage: Stage) -> str:
    """The stage's traffic in a sentence, like ``the canary has 10 % of the traffic``."""
    who = stage.track if stage.track == "stable" else f"the {stage.track}"
    return f"{who} has {stage.weight} % of the {'traffic' if stage.traffic else 'replicas'}"
