"""Who may approve a release, and shorten its checks: named people, but for whoever asked for it (R10)."""

from __future__ import annotations

from collections.abc import Sequence


def allowed_approvers(approvers: Sequence[str], requester: str | None, *, self_approval: bool) -> list[str]:
    """Names of the people who may approve.

    :param approvers: those whom the environment's file names.
    :param requester: who asked for the release.
    :param self_approval: whether the requester may approve, too.
    """
    return [name for name in approvers if self_approval or name != requester]


def approves_alone(by: str | None, requester: str | None, *, self_approval: bool) -> bool:
    """Whether an answer is the requester's own where a second pair of eyes is wanted."""
    return by == requester and not self_approval
