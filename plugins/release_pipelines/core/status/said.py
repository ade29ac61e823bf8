"""Who said what: one list of answers, commands and remarks, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from release_pipelines.core.model.records import ReleaseDetail
from release_pipelines.core.status.model import Said

OF_PEOPLE = ("not_counted", "lifted")
"""Kinds of events that tell of what a person did, and that stand nowhere else."""


def said_of(release: ReleaseDetail, remarks: Sequence[Said] = ()) -> list[Said]:
    """Oldest first.

    :param remarks: what people have added to the release.
    """
    return sorted([*_said(release), *remarks], key=lambda it: it.at)


def _said(release: ReleaseDetail) -> Iterator[Said]:
    words = "; ".join(it for it in (release.reason, release.notes) if it)
    by = f", started by {release.started_by}" if release.started_by else ""
    yield Said(at=release.started_at, by=release.requester, what=f"asked for it{by}", text=words or None, effect=None)
    for answer in release.approvals:
        yield Said(at=answer.at, by=answer.by, what=answer.decision, text=answer.note)
    for command in release.commands:
        yield Said(
            at=command.at,
            by=command.by,
            what=command.kind,
            text=command.reason,
            effect=command.effect,
            effect_at=command.answered_at,
            open=command.answered_at is None and release.outcome is None,
        )
    for event in release.events:
        if event.kind in OF_PEOPLE:
            name = (event.data or {}).get("by")
            who = name if isinstance(name, str) else None
            yield Said(at=event.at, by=who, what=event.kind.replace("_", " "), effect=event.sentence)
