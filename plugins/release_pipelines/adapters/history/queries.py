"""SQL queries on the tables, and the values in their rows."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, or_, select

from release_pipelines.adapters.history.blame import WENT_BACK, Story, marks_of, newest_good
from release_pipelines.adapters.history.tables import approvals, commands, events, marks, releases, remarks, verdicts
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.command import COMMAND_KINDS
from release_pipelines.core.model.records import Direction
from release_pipelines.core.versions import goes_backward, version_fits

WENT_WRONG = (*WENT_BACK, "aborted")
"""Outcomes of a release that had begun to change something."""


STARTED, EVIDENCE, ASKED, ATTESTED = "started", "evidence", "asked", "attested"
"""Kinds of events that are read again: who started the run for whom, what checks found about a digest, that the approval's form has
opened, and that a digest was attested by a key that was trusted then."""


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
    """All releases, each with who approved it (or, where nobody did, rejected it) and who started its run for somebody else."""
    approver = (
        select(approvals.c.by)
        .where(approvals.c.release_id == releases.c.id, approvals.c.decision.in_(("approved", "rejected")))
        .order_by(approvals.c.decision, approvals.c.id.desc())  # in the alphabet approved comes first
        .limit(1)
        .scalar_subquery()
    )
    started = (
        select(events.c.data)
        .where(events.c.release_id == releases.c.id, events.c.kind == STARTED)
        .order_by(events.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return select(releases, approver.label("approver"), started.label("started"))


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
    known = {name: value for name, value in row._mapping.items() if name not in ("evidence", "started")}
    return {**known, "started_by": (row.started or {}).get("by")}


def fields(row: Any) -> dict[str, Any]:
    """A row as a dict, without the database's own ``id``."""
    return {name: value for name, value in row._mapping.items() if name != "id"}


def said_of(release_id: str) -> Select[Any]:
    """What people have added to a release, oldest first."""
    columns = (remarks.c.id, remarks.c.at, remarks.c.by, remarks.c.about, remarks.c.text)
    return select(*columns).where(remarks.c.release_id == release_id).order_by(remarks.c.id)


def stories(connection: Connection, app: str) -> dict[str, Story]:
    """What is known of every release of the app beside its own row, by its id."""
    known: dict[str, Story] = defaultdict(Story)
    ids = select(releases.c.id).where(releases.c.app == app)
    for mark in connection.execute(select(marks).where(marks.c.release_id.in_(ids)).order_by(marks.c.id)):
        known[mark.release_id].marks.append(mark)
    went_back = select(events.c.release_id, events.c.environment).where(
        events.c.release_id.in_(ids), events.c.kind == "rollback", events.c.environment.is_not(None)
    )
    for it in connection.execute(went_back):
        known[it.release_id].rolled_back_in.add(it.environment)
    judged = select(verdicts.c.release_id, verdicts.c.environment, verdicts.c.judgement).where(
        verdicts.c.release_id.in_(ids)
    )
    for verdict in connection.execute(judged.order_by(verdicts.c.decided_at)):
        known[verdict.release_id].judgements[verdict.environment] = verdict.judgement
    aborts = select(commands.c.release_id, commands.c.by).where(
        commands.c.release_id.in_(ids), commands.c.kind == "abort"
    )
    for abort in connection.execute(aborts.order_by(commands.c.id)):
        known[abort.release_id].aborted_by.append(abort.by)
    return known


def newest_good_of(
    connection: Connection, app: str, environment: str | None = None, excluding: str | None = None
) -> Any:
    """The newest release of ``app`` that was promoted and held, and whose version is not blamed since (R8)."""
    rows = connection.execute(releases_of(app, releases.c.digest.is_not(None))).all()
    return newest_good(rows, stories(connection, app), environment, excluding)


def worth_keeping(connection: Connection) -> set[str]:
    """Ids of the releases that are good somewhere, and of those that speak against their versions elsewhere."""
    kept = set()
    places = [
        None,
        *connection.scalars(select(events.c.environment).where(events.c.environment.is_not(None)).distinct()),
    ]
    for app in connection.scalars(select(releases.c.app).distinct()).all():
        rows = connection.execute(releases_of(app, releases.c.digest.is_not(None))).all()
        known = stories(connection, app)
        good = [row for place in places if (row := newest_good(rows, known, place))]
        digests = {row.digest for row in good}
        against = [row for row in rows if row.digest in digests and marks_of(row, known.get(row.id, Story()), None)]
        kept |= {row.id for row in (*good, *against)}
    return kept
