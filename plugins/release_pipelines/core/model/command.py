"""Commands that people give a running release, and the state that follows from them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from pydantic import Field

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.release_id import ROLLBACK_DAG

CommandKind = Literal["pause", "resume", "promote", "skip", "abort"]
COMMAND_KINDS: tuple[CommandKind, ...] = get_args(CommandKind)
NOT_ANSWERED = "Not answered yet: the release takes it up as soon as it waits for something again."
"""Shown for a command that nothing has answered in time."""
MOVES_NOW = f"Until then the traffic stays where it is; the DAG {ROLLBACK_DAG} moves it now."
"""Shown beside it for an abort."""
SILENT_SECONDS = 10.0
"""Age of the newest sign of life from which on a release is silent, in seconds; a heartbeat comes every two."""


def not_answered(kind: CommandKind, shares: str = "", silent_for: float = 0.0) -> str:
    """What is said of a command that nothing has answered in time.

    :param shares: who has which traffic now, in words; empty where that is not known.
    :param silent_for: seconds since the release has given a sign of life; 0: it has just given one, or that is not known.
    """
    sentences = [NOT_ANSWERED]
    if silent_for > SILENT_SECONDS:
        sentences = [
            f"Not answered: the release has given no sign of life for {silent_for:.0f} s, Airflow's triggerer is away or overloaded."
        ]
    if kind == "abort":
        sentences += [f"Nothing has moved: {shares}." if shares else "", MOVES_NOW]
    return " ".join(filter(None, sentences))


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


def subject(command: Command) -> str:
    """The same as what a sentence begins with: ``bob ("enough seen")``."""
    reason = (command.reason or "").strip().rstrip(".")
    return f'{command.by} ("{reason}")' if reason else str(command.by)
