"""SQL queries on the tables, and the values in their rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, or_, select

from release_pipelines.adapters.history.tables import approvals, commands, events, releases, verdicts
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.command import COMMAND_KINDS
from release_pipelines.core.model.records import Direction, Stability
from release_pipelines.core.versions import goes_backward, version_fits

WENT_WRONG = ("rolled_back", "rollback_failed", "aborted")
"""Outcomes after which a version does not count as good."""


def direction_of(version: str, last: str | None, *, released_before: bool) -> Direction:
    """Whether a release goes back to something older (R17).

    :param last: the version that was last promoted.
    :param released_before: the same digest was promoted earlier, and another one since: decides where versions have no
        order, like commits.
    """
    if last is None or version == last:
        return "forward"
    for scheme in ("semver", "date"):
        if version_fits(scheme, version) is None and version_fits(scheme, last) is None:
            return "backward" if goes_backward(scheme, last, version) else "forward"
    return "backward" if released_before else "forward"


def given() -> Select[Any]:
    """Commands, oldest first. One of a kind that only another version knows is left to that version."""
    return select(commands).where(commands.c.kind.in_(COMMAND_KINDS)).order_by(commands.c.id)


def good(app: str, *, environment: str | None = None, excluding: str | None = None) -> Select[Any]:
    """The newest release of ``app`` that was promoted and held, and whose digest did not go wrong later (R8)."""
    later = releases.alias("later")
    wrong: ColumnElement[bool] = later.c.outcome.in_(WENT_WRONG)
    if environment is not None:
        went_back = (
            events.c.release_id == later.c.id,
            events.c.kind == "rollback",
            events.c.environment == environment,
        )
        wrong = or_(wrong, exists().where(*went_back))
    query = (
        select(releases)
        .where(releases.c.app == app, releases.c.promoted_at.is_not(None), releases.c.digest.is_not(None))
        .where(or_(releases.c.outcome.is_(None), releases.c.outcome == "released"))
        .where(
            ~exists().where(
                later.c.app == app,
                later.c.digest == releases.c.digest,
                later.c.started_at > releases.c.started_at,
                wrong,
            )
        )
        .order_by(releases.c.promoted_at.desc())
        .limit(1)
    )
    if excluding is not None:
        query = query.where(releases.c.digest != excluding)
    return query


def releases_of(app: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    """The app's releases that fulfil the conditions, newest first."""
    return select(releases).where(releases.c.app == app, *conditions).order_by(releases.c.started_at.desc())


def reached() -> ColumnElement[bool]:
    """Whether a release got as far as an environment."""
    in_environment = (
        exists().where(table.c.release_id == releases.c.id, *condition)
        for table, condition in ((events, (events.c.environment.is_not(None),)), (verdicts, ()), (approvals, ()))
    )
    return or_(releases.c.promoted_at.is_not(None), releases.c.outcome.in_(("no_op", *WENT_WRONG)), *in_environment)


def listed() -> Select[Any]:
    """All releases, each with who approved it."""
    approver = (
        select(approvals.c.by)
        .where(approvals.c.release_id == releases.c.id, approvals.c.decision == "approved")
        .order_by(approvals.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return select(releases, approver.label("approver"))


def artifact_in(row: Any) -> Artifact | None:
    """The artifact in a row of ``releases``; None for no row."""
    if row is None:
        return None
    return Artifact(
        app=row.app,
        version=row.version,
        image=row.image,
        digest=row.digest,
        commit=row.commit,
        evidence=row.evidence or {},
    )


def release_in(row: Any) -> dict[str, Any]:
    """The fields of a :class:`Release` in a row of :func:`listed`."""
    return {name: value for name, value in row._mapping.items() if name != "evidence"}


def fields(row: Any) -> dict[str, Any]:
    """A row as a dict, without the database's own ``id``."""
    return {name: value for name, value in row._mapping.items() if name != "id"}


def stability_of(rows: Sequence[Any], aborts: Iterable[Any], went_back: Collection[str]) -> list[Stability]:
    """How stable every version is, newest first; the same rule as :func:`good`, with reasons.

    :param rows: releases of one app that have a digest, newest first.
    :param aborts: ``release_id`` and ``by`` of every abort command.
    :param went_back: ids of releases with a rollback in the environment that is asked about.
    """
    people: dict[str, list[str]] = {}
    for abort in aborts:
        people.setdefault(abort.release_id, []).append(abort.by)
    by_digest: dict[str, list[Any]] = {}
    for row in rows:
        by_digest.setdefault(row.digest, []).append(row)
    return [_stability(releases_, people, went_back) for releases_ in by_digest.values()]


def _stability(rows: list[Any], people: dict[str, list[str]], went_back: Collection[str]) -> Stability:
    held_rows = [row for row in rows if row.promoted_at is not None and row.outcome in (None, "released")]
    wrong_rows = [row for row in rows if row.outcome in WENT_WRONG or row.id in went_back]
    last, newest_wrong = rows[0], wrong_rows[0] if wrong_rows else None
    good = bool(held_rows) and (newest_wrong is None or newest_wrong.started_at < held_rows[0].started_at)
    if good:
        why = "promoted and held, and nothing went wrong with it since."
    elif newest_wrong is not None:
        why = (
            f"it went wrong later: {newest_wrong.sentence or newest_wrong.outcome}"
            if held_rows
            else f"it went wrong: {newest_wrong.sentence}"
        )
    else:
        why = "it was never promoted."
    return Stability(
        version=last.version,
        digest=last.digest,
        promoted=sum(row.promoted_at is not None for row in rows),
        held=len(held_rows),
        rolled_back=sum(row.outcome in ("rolled_back", "rollback_failed") for row in rows),
        aborted=sum(row.outcome == "aborted" for row in rows),
        aborted_by=[by for row in rows for by in people.get(row.id, [])],
        last_outcome=last.outcome,
        last_at=last.started_at,
        good=good,
        why=why,
    )
