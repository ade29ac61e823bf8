"""Commands of one release, as the loop reads and answers them that works for the release."""

from __future__ import annotations

import logging
import math

from release_pipelines.core.model.command import Command, CommandState, command_state
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.ports.commands import CommandSource
from release_pipelines.core.text import clean

REASON_LIMIT = 1000
"""Maximum length of a person's words in a verdict's sentence, in characters; the history has all of them."""

log = logging.getLogger(__name__)

EFFECTS_BETWEEN_HOLDS = {
    "pause": "Paused: the traffic stays as it is until somebody resumes.",
    "resume": "It goes on.",
    "promote": "Every hold from now on ends at once, as passed; checks and questions stay.",
    "skip": "No hold was running: none was cut short.",
}
"""Answers to commands that come while no hold runs. The commands are recorded, and every later stage follows them."""


class ReleaseCommands:
    """Reads and answers the commands of one release.

    :param source: the recorded commands.
    """

    def __init__(self, source: CommandSource) -> None:
        self._source = source
        self._known: set[int] = set()

    async def state(self) -> CommandState:
        """What all commands amount to now."""
        commands = await self._source.read()
        self._known = {command.id for command in commands}
        return command_state(commands)

    async def state_in_stage(self) -> CommandState:
        """The same; a stage answers `promote` as soon as it reads it."""
        state = await self.state()
        if state.promote:
            await self.answer(state.promote, EFFECTS_BETWEEN_HOLDS["promote"])
        return state

    async def wait(self, seconds: float = math.inf) -> None:
        """Wait for a command that the last :meth:`state` did not include, for at most ``seconds``."""
        await self._source.wait_for_change(self._known, seconds)

    async def answer(self, command: Command, effect: str) -> None:
        """Record what a command did, unless it is answered already."""
        if command.answered_at is None:
            log.info("%s by %s: %s", command.kind, command.by, effect)
            await self._source.answer(command, effect)

    async def answer_all(self, state: CommandState, effects: dict[str, str]) -> None:
        """Answer the unanswered commands with the sentences in ``effects``, by kind; other kinds stay unanswered."""
        for command in state.unanswered:
            if command.kind in effects:
                await self.answer(command, effects[command.kind])

    async def abort(self) -> Command:
        """Wait for an `abort`."""
        while True:
            state = await self.state()
            if state.abort:
                return state.abort
            await self.wait()


def aborted_by(command: Command) -> dict[str, str]:
    """The person who aborted, for an event."""
    return {"by": command.by, "reason": command.reason or "no reason given"}


def abort_sentence(command: Command) -> str:
    """The sentence of a verdict that comes from an `abort`."""
    return clean(f"{command.by} aborted it: {command.reason or 'no reason given'}", REASON_LIMIT)


def is_abort_verdict(verdict: Verdict, command: Command | None) -> bool:
    """Whether the verdict comes from this `abort`: an event that is sent after a restart names that person, too (R6)."""
    return command is not None and verdict.sentence.startswith(abort_sentence(command))
