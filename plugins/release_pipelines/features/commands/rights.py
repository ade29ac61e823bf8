"""Who may give which command to a running release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from release_pipelines.core.approvers import allowed_approvers
from release_pipelines.core.model.command import COMMAND_KINDS, CommandKind

NEED_APPROVER: tuple[CommandKind, ...] = ("promote", "skip")
"""Commands that shorten the checks: only who may approve a release may give them."""


def refusal(
    kind: str, by: str, reason: str | None, running: Any, approvers: Sequence[str], self_approval: bool
) -> str | None:
    """Why a command is refused, in one sentence; None if it is allowed.

    :param kind: one of :data:`~release_pipelines.core.model.command.COMMAND_KINDS`.
    :param by: name of the person who gives the command.
    :param reason: why; an abort needs one.
    :param running: the app's running release (with ``version`` and ``requester``); None if no release runs.
    :param approvers: who may approve releases to production.
    :param self_approval: whether the requester may approve.
    """
    if kind not in COMMAND_KINDS:
        return f"There is no action `{kind}`: one of {', '.join(COMMAND_KINDS)} is expected."
    if running is None:
        return f"No release is running: there is nothing to {kind}."
    if kind == "abort" and not (reason or "").strip():
        return "An abort needs a reason: say why in a few words."
    if kind in NEED_APPROVER and not self_approval:
        named = allowed_approvers(approvers, running.requester, self_approval=False)
        if by not in named:
            who = " or ".join(named) or "an approver who did not ask for the release"
            return f"{by} may not {kind} {running.version}, because it shortens its checks: {who} may."
    return None
