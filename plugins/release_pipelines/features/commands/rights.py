"""Who may give which command to a running release, as the command line and the DAG ``release_control`` ask it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from release_pipelines.core.model.person import Identity, Person
from release_pipelines.core.steering import NEED_APPROVER as NEED_APPROVER
from release_pipelines.core.steering import State, Steerer, refused, state_of


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
    """Why a command is refused, in one sentence; None if it is allowed. Whether Airflow lets that person is Airflow's to say.

    :param kind: one of :data:`~release_pipelines.core.model.command.COMMAND_KINDS`.
    :param by: the person who gives the command: the user name, or all that is known.
    :param reason: why; an abort needs one.
    :param running: the app's running release: with its records, or at least ``version``, ``requester`` and ``started_by``; None if no release
        runs.
    :param approvers: who may approve releases to production.
    :param self_approval: whether the requester may approve.
    :param waits_for_approval: whether its approval is asked for now, with a form that says what will be measured; records say it
        themselves.
    """
    state = None
    from release_pipelines.core.model.records import ReleaseDetail  # DAG files are parsed without it

    if isinstance(running, ReleaseDetail):
        state = state_of(running)
    elif running is not None:
        asked = (running.requester, getattr(running, "started_by", None))
        state = State(running.version, asked=asked, asks="approval" if waits_for_approval else None, known=False)
    who = by if isinstance(by, Identity) else Identity(name=by)
    person = Steerer(who, approvers=approvers, self_approval=self_approval)
    no = refused(kind, state, person, reason)
    return no.sentence if no else None
