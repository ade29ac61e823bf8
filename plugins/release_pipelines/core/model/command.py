"""Commands that people give a running release, and the state that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from pydantic import Field

from release_pipelines.core.model.base import Stored

CommandKind = Literal["pause", "resume", "promote", "skip", "abort"]
COMMAND_KINDS: tuple[CommandKind, ...] = get_args(CommandKind)
NOT_ANSWERED = "Not answered yet: the release takes it up as soon as it waits for something again."
"""Shown for a command that nothing has answered in time."""


class Command(Stored):
    """A person's command to a running release."""

    id: int
    release_id: str
    kind: CommandKind
    by: str
    reason: str | None = None
    at: float
    answered_at: float | None = Field(None, description="None: nobody has taken it up yet")
    effect: str | None = Field(None, description="What it did, in a sentence")


class CommandState(NamedTuple):
    """The state that follows from all commands of a release.

    It is computed from the recorded commands alone, answered or not, so it survives every restart (R6).
    """

    abort: Command | None = None
    """The command that ends the release; nothing lifts it."""
    promote: Command | None = None
    """The command that ends this and every later hold at once."""
    pause: Command | None = None
    """The command that stops the hold's clock; None if there was none, or if a `resume` came after it."""
    resume: Command | None = None
    """The newest `resume`; None if a `pause` came after it."""
    skips: tuple[Command, ...] = ()
    unanswered: tuple[Command, ...] = ()

    def skip(self, since: float) -> Command | None:
        """The first `skip` for a hold that started at ``since`` (Unix time in seconds); an older one was for an earlier hold."""
        return next((command for command in self.skips if command.at >= since), None)


def command_state(commands: Sequence[Command]) -> CommandState:
    """Compute the state from a release's commands, oldest first."""
    first = {kind: next((it for it in commands if it.kind == kind), None) for kind in ("abort", "promote")}
    newest = next((it for it in reversed(commands) if it.kind in ("pause", "resume")), None)
    return CommandState(
        abort=first["abort"],
        promote=first["promote"],
        pause=newest if newest and newest.kind == "pause" else None,
        resume=newest if newest and newest.kind == "resume" else None,
        skips=tuple(it for it in commands if it.kind == "skip"),
        unanswered=tuple(it for it in commands if it.answered_at is None),
    )


def given_by(command: Command) -> str:
    """Who gave a command, and why if a reason was given: ``bob: enough seen``."""
    return f"{command.by}: {command.reason}".rstrip(".") if command.reason else str(command.by)
