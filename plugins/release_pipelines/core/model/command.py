"""Who may steer a running release, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

ControlKind = Literal["pause", "resume", "promote", "skip", "abort"]
KINDS: tuple[ControlKind, ...] = get_args(ControlKind)
NEED_APPROVER: tuple[ControlKind, ...] = ("promote", "skip")
"""What shortens the checks: whoever may approve a release may do it."""
NOT_ANSWERED = "Not answered yet: the release takes it up as soon as it waits for something again."
"""What is said of a command that nobody has taken up in time."""


def refusal(
    kind: str, by: str, reason: str | None, running: Any, approvers: Sequence[str], self_approval: bool
) -> str | None:
    """Why a command is not taken, in one sentence; None: it is.

    :param kind: one of :data:`KINDS`.
    :param by: name of the person who gives it.
    :param reason: why; an abort needs one.
    :param running: the app's running release (with ``version``, ``requester``), None where none runs.
    :param approvers: who may approve for production.
    :param self_approval: whether one pair of eyes will do.
    """
    if kind not in KINDS:
        return f"There is no action `{kind}`: one of {', '.join(KINDS)} is expected."
    if running is None:
        return f"No release is running: there is nothing to {kind}."
    if kind == "abort" and not (reason or "").strip():
        return "An abort needs a reason: say why in a few words."
    if kind in NEED_APPROVER and not self_approval:
        named = [name for name in approvers if name != running.requester]
        if by not in named:
            who = " or ".join(named) or "an approver who did not ask for the release"
            return f"{by} may not {kind} {running.version}, because it shortens its checks: {who} may."
    return None


class Standing(NamedTuple):
    """What people have told a release so far, folded into what holds now. Commands have ``kind``, ``by``, ``reason``, ``at``
    (Unix time in seconds) and ``answered_at``.

    All of it comes from the recorded commands, answered or not, so that it outlives every process (R6).
    """

    abort: Any = None
    """The command that ended the release; nothing lifts it."""
    promote: Any = None
    """The command by which every later hold ends at once."""
    pause: Any = None
    """The command by which it stands still; None where none was given, or it was resumed since."""
    resume: Any = None
    """The newest command to go on."""
    skips: tuple[Any, ...] = ()
    open: tuple[Any, ...] = ()
    """Commands that nobody has taken up yet."""

    def skip(self, since: float) -> Any:
        """The first command to skip the hold of a stage that began at ``since``; one from before meant an earlier hold."""
        return next((it for it in self.skips if it.at >= since), None)


def standing(commands: Sequence[Any]) -> Standing:
    """What a release's commands, oldest first, amount to."""
    first = {kind: next((it for it in commands if it.kind == kind), None) for kind in ("abort", "promote")}
    newest = next((it for it in reversed(commands) if it.kind in ("pause", "resume")), None)
    return Standing(
        abort=first["abort"],
        promote=first["promote"],
        pause=newest if newest and newest.kind == "pause" else None,
        resume=newest if newest and newest.kind == "resume" else None,
        skips=tuple(it for it in commands if it.kind == "skip"),
        open=tuple(it for it in commands if it.answered_at is None),
    )


def why(command: Any) -> str:
    """``bob: enough seen``: who gave a command, and why if that was said."""
    return f"{command.by}: {command.reason}".rstrip(".") if command.reason else str(command.by)
