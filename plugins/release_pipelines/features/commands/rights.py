"""Who may give which command to a running release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from release_pipelines.core.approvers import allowed_approvers, in_words, is_one_of
from release_pipelines.core.model.command import COMMAND_KINDS, CommandKind
from release_pipelines.core.model.person import Identity, Person

NEED_APPROVER: tuple[CommandKind, ...] = ("promote", "skip")
"""Commands that shorten the checks: only who may approve a release may give them."""


def refusal(
    kind: str,
    by: str | Identity,
    reason: str | None,
    running: Any,
    approvers: Sequence[str | Person],
    self_approval: bool,
    *,
    waits_for_approval: bool = False,
) -> str | None:
    """Why a command is refused, in one sentence; None if it is allowed.

    :param kind: one of :data:`~release_pipelines.core.model.command.COMMAND_KINDS`.
    :param by: the person who gives the command: the user name, or all that is known.
    :param reason: why; an abort needs one.
    :param running: the app's running release (with ``version``, ``requester`` and ``started_by``); None if no release runs.
    :param approvers: who may approve releases to production.
    :param self_approval: whether the requester may approve.
    :param waits_for_approval: whether its approval is asked for now, with a form that says what will be measured.
    """
    if kind not in COMMAND_KINDS:
        return f"There is no action `{kind}`: one of {', '.join(COMMAND_KINDS)} is expected."
    if running is None:
        return f"No release is running: there is nothing to {kind}."
    if kind == "abort" and not (reason or "").strip():
        return "An abort needs a reason: say why in a few words."
    if kind in NEED_APPROVER and not self_approval:
        asked = (running.requester, getattr(running, "started_by", None))
        named = allowed_approvers(approvers, *asked, self_approval=False)
        if not is_one_of(named, by if isinstance(by, Identity) else Identity(name=by)):
            who = in_words(named, "an approver who did not ask for the release")
            return f"{by} may not {kind} {running.version}, because it shortens its checks: {who} may."
    if kind == "promote" and waits_for_approval:
        return f"{running.version} waits for its approval, and the form says what will be measured: give `promote` when it is approved."
    return None
