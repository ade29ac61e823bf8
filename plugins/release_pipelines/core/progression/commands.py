"""What people tell a release to do, as the trigger hears it that works for the release."""

from __future__ import annotations

import logging
import math
from typing import Any

from release_pipelines.airflow.commands import answer, changed, commands_of
from release_pipelines.core.model.command import Standing, standing

log = logging.getLogger(__name__)

BETWEEN_HOLDS = {
    "pause": "Paused: the traffic stays as it is until somebody resumes.",
    "resume": "It goes on.",
    "promote": "Every hold from now on ends at once, as passed; checks and questions stay.",
    "skip": "No hold was running: none was cut short.",
}
"""What a command does that meets no hold: it is recorded, and every later stage goes by what is recorded."""


class Steering:
    """The commands of one release.

    :param release: the release's id.
    """

    def __init__(self, release: str) -> None:
        self.release = release
        self._seen: set[int] = set()

    async def look(self) -> Standing:
        """What holds now; the last known while the history is away."""
        commands = await commands_of(self.release)
        self._seen = {it.id for it in commands}
        return standing(commands)

    async def wait(self, seconds: float = math.inf) -> None:
        """Sleep so long, or until somebody gives a command that the last look has not seen: nobody waits for a next look."""
        await changed(self.release, self._seen, seconds)

    async def say(self, command: Any, effect: str) -> None:
        """Tell what a command did, once. A history that is away hears it at the next look, and stops nothing."""
        from release_pipelines.adapters.history import HistoryUnavailable

        if command.answered_at is not None:
            return
        log.info("%s by %s: %s", command.kind, command.by, effect)
        try:
            await answer(command, effect)
        except HistoryUnavailable as error:
            log.warning("%s The answer to %s is not recorded yet.", error, command.kind)

    async def say_open(self, held: Standing, effects: dict[str, str]) -> None:
        """Answer the open commands of the kinds in ``effects``, with their sentences."""
        for command in held.open:
            if command.kind in effects:
                await self.say(command, effects[command.kind])

    async def aborted(self) -> Any:
        """Wait for a person who aborts; returns the command."""
        while True:
            held = await self.look()
            if held.abort:
                return held.abort
            await self.wait()


def aborted_by(command: Any) -> dict[str, str]:
    """What an event says of the person who aborted."""
    return {"by": command.by, "reason": command.reason or "no reason given"}
