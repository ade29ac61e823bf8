"""Who may steer a running release, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

ControlKind = Literal["pause", "resume", "promote", "skip", "abort"]
KINDS: tuple[ControlKind, ...] = get_args(ControlKind)
NEED_APPROVER: tuple[ControlKind, ...] = ("promote", "skip")
"""What shortens the checks: whoever may approve a release may do it."""


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
