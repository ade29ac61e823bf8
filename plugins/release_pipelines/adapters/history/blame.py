"""Which versions are good in an environment, and what speaks against the others (R8). Pure.

Good is what was promoted and held, and is not blamed for anything since. A version is blamed where it went back through its own fault
only: not in another environment, not because a person ended its release, and not because nobody could measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from release_pipelines.core.model.records import Mark, Stability

WENT_BACK = ("rolled_back", "rollback_failed")
"""Outcomes of a release whose version, or what stood around it, failed."""


@dataclass
class Story:
    """What is known of one release beside its own row.

    :param marks: what was said about its version when it ended, by environment; earlier versions of this package said nothing.
    :param rolled_back_in: environments in which it was rolled back.
    :param judgements: the last verdict on it in each environment.
    :param aborted_by: people who aborted it.
    """

    marks: list[Any] = field(default_factory=list)
    rolled_back_in: set[str] = field(default_factory=set)
    judgements: dict[str, str] = field(default_factory=dict)
    aborted_by: list[str] = field(default_factory=list)


def marks_of(row: Any, story: Story, environment: str | None) -> list[Mark]:
    """What a release says against its version in the environment (None: in any)."""
    said = [it for it in story.marks if environment in (None, it.environment)]
    if said or (story.marks and row.outcome is not None):
        return [
            Mark(
                release=row.id,
                environment=it.environment,
                sentence=it.sentence,
                at=it.at,
                lifted_by=it.lifted_by,
                lifted_because=it.lifted_because,
                lifted_at=it.lifted_at,
            )
            for it in said
            if it.bad
        ]
    places = _blamed_in(row, story)
    if places is None or (places and environment is not None and environment not in places):
        return []
    where = environment if environment is not None else next(iter(sorted(places)), None)
    sentence = row.sentence or "it is being rolled back"
    return [Mark(release=row.id, environment=where, sentence=sentence, at=row.ended_at or row.started_at)]


def _blamed_in(row: Any, story: Story) -> set[str] | None:
    """Where a release without marks, which runs or was recorded by an earlier version, counts against its version.

    :return: environments; empty: nobody knows which, so everywhere; None: nowhere.
    """
    running = row.outcome is None
    if row.outcome not in WENT_BACK and not (running and story.rolled_back_in):
        return None
    if story.aborted_by and row.outcome != "rolled_back":  # it went back because a person said so
        return None
    at_fault = {it for it in story.rolled_back_in if story.judgements.get(it, "fail") not in ("error", "inconclusive")}
    if story.rolled_back_in:
        return at_fault or None
    could_not_tell = [it for it in story.judgements.values() if it in ("error", "inconclusive")]
    return None if could_not_tell else set()


def stability_of(rows: Sequence[Any], stories: Mapping[str, Story], environment: str | None) -> list[Stability]:
    """How stable every version is, newest first.

    :param rows: releases of one app that have a digest, newest first.
    :param stories: by a release's id.
    :param environment: where; None: anywhere.
    """
    by_digest: dict[str, list[Any]] = {}
    for row in rows:
        by_digest.setdefault(row.digest, []).append(row)
    return [_stability(releases, stories, environment) for releases in by_digest.values()]


def newest_good(
    rows: Sequence[Any], stories: Mapping[str, Story], environment: str | None, excluding: str | None = None
) -> Any:
    """The row of the release that was promoted last among those whose version is good; None where there is none."""
    good = {it.digest for it in stability_of(rows, stories, environment) if it.good} - {excluding}
    held = [row for row in rows if row.digest in good and _held(row)]
    return max(held, key=lambda row: row.promoted_at, default=None)


def _held(row: Any) -> bool:
    return row.promoted_at is not None and row.outcome in (None, "released")


def _stability(rows: list[Any], stories: Mapping[str, Story], environment: str | None) -> Stability:
    held, last = [row for row in rows if _held(row)], rows[0]
    marks = [(row, mark) for row in rows for mark in marks_of(row, stories.get(row.id, Story()), environment)]
    against = [(row, mark) for row, mark in marks if mark.lifted_at is None]
    good = bool(held) and not any(row.started_at >= held[0].started_at for row, _ in against)
    return Stability(
        version=last.version,
        digest=last.digest,
        promoted=sum(row.promoted_at is not None for row in rows),
        held=len(held),
        rolled_back=sum(row.outcome in WENT_BACK for row in rows),
        aborted=sum(row.outcome == "aborted" for row in rows),
        aborted_by=[by for row in rows for by in stories.get(row.id, Story()).aborted_by],
        last_outcome=last.outcome,
        last_at=last.started_at,
        good=good,
        why=_why(rows, good, bool(held), [mark for _, mark in against], [mark for _, mark in marks]),
        marks=[mark for _, mark in marks],
    )


def _why(rows: list[Any], good: bool, held: bool, against: list[Mark], marks: list[Mark]) -> str:
    lifted = next((it for it in marks if it.lifted_at is not None), None)
    forgiven = f" ({lifted.lifted_by} lifted: {lifted.sentence.rstrip('.')})" if lifted and not against else ""
    if good:
        return f"promoted and held, and nothing went wrong with it since{forgiven}."
    if against:
        return f"it went wrong{' later' if held else ''}: {against[0].sentence}"
    aborted = next((row.sentence for row in rows if row.outcome == "aborted" and row.sentence), None)
    return f"it was never promoted: {aborted}" if aborted else "it was never promoted."
