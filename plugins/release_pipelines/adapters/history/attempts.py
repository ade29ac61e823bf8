"""The releases of an app as the measures of delivery read them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from sqlalchemy import Connection, func, select

from release_pipelines.adapters.history.reports import Reports
from release_pipelines.adapters.history.tables import events, releases, reports, verdicts
from release_pipelines.core.delivery.deployments import Attempt, Commit
from release_pipelines.core.model.outcome import OfTrains
from release_pipelines.core.model.records import COMMITS
from release_pipelines.core.model.release_id import ROLLBACK_DAG

TRAFFIC, REMEDIES, VERIFIED = "traffic", "remedies", "verified"
"""Kinds of events: a stage got its traffic; what a release puts right; after a way back all traffic was checked."""
ALL = 100
COLUMNS = ("id", "app", "dag_id", "version", "outcome", "started_at", "ended_at", "promoted_at")
JUDGED = ("release_id", "environment", "weight", "judgement", "decided_at", "accepted_at")
SETTLED_SECONDS = 86400.0
"""So long after its end a release may still be told of: what the history missed is written later. In seconds."""
AT_ONCE = 500
"""Of so many releases a query asks at once."""


Read = dict[tuple[str, str], "Story"]
"""What was read of releases that have ended, by their ids and outcomes."""


class Attempts(Reports):
    """Releases, read for the measures of delivery."""

    def promoted_release(self, app: str, version: str) -> str | None:
        """Id of the newest release of a version that reached its end."""
        query = select(releases.c.id).where(
            releases.c.app == app, releases.c.version == version, releases.c.promoted_at.is_not(None)
        )
        with self._read() as connection:
            return connection.scalar(query.order_by(releases.c.started_at.desc()).limit(1))

    def attempts_state(self) -> tuple[Any, ...]:
        """What is another one whenever :meth:`attempts` of all apps would tell something else: asked in a few small queries."""
        ended = select(func.count(), func.max(releases.c.ended_at)).where(releases.c.outcome.is_not(None))
        lately = select(releases.c.id).where(releases.c.ended_at >= self._now() - SETTLED_SECONDS)
        told = select(func.max(events.c.id)).where(
            events.c.release_id.in_(lately), events.c.kind.in_((TRAFFIC, REMEDIES, VERIFIED))
        )
        judged = select(func.count(), func.max(verdicts.c.id), func.max(verdicts.c.accepted_at)).where(
            verdicts.c.release_id.in_(lately)
        )
        with self._read() as connection:
            return tuple(value for it in (ended, told, judged) for value in connection.execute(it).one())

    def attempts(self, app: str | None = None, read: Read | None = None) -> list[Attempt]:
        """All releases that have ended, oldest first, one for each environment in which they got traffic; those that got none, once.

        :param app: of this app; None: of all.
        :param read: what was read of them before, which is added to: one that ended long ago is read once. None: all are read.
        """
        query = select(*(releases.c[it] for it in COLUMNS)).where(releases.c.outcome.is_not(None))
        if app is not None:
            query = query.where(releases.c.app == app)
        settled = self._now() - SETTLED_SECONDS
        known = {} if read is None else read
        with self._read() as connection:
            rows = connection.execute(query.order_by(releases.c.started_at, releases.c.id)).all()
            rows = [it for it in rows if it.outcome not in get_args(OfTrains)]
            asked = [it for it in rows if (it.id, it.outcome) not in known or (it.ended_at or settled) >= settled]
            told = _stories(connection, [it.id for it in asked])
        known.update({(it.id, it.outcome): told[it.id] for it in asked})
        for key in known.keys() - {(it.id, it.outcome) for it in rows}:
            del known[key]
        stories = {it.id: known[it.id, it.outcome] for it in rows}
        found: list[Attempt] = []
        serving: dict[tuple[str, str], Attempt] = {}
        for row in rows:
            for attempt in _attempts(row, stories[row.id], serving):
                found.append(attempt)
                here = (attempt.app, attempt.environment)
                if attempt.outcome == "released" or (attempt.outcome == "superseded" and attempt.first_traffic_at):
                    serving[here] = attempt
        since = {it: story.since for story in stories.values() for it in story.remedies if story.since is not None}
        return [replace(it, degraded_since=since.get(it.release)) for it in found]


def _stories(connection: Connection, ids: Sequence[str]) -> defaultdict[str, Story]:
    """What the history knows of these releases beside their rows."""
    found: defaultdict[str, Story] = defaultdict(Story)
    for n in range(0, len(ids), AT_ONCE):
        mine = ids[n : n + AT_ONCE]
        told = select(events.c.release_id, events.c.at, events.c.kind, events.c.environment, events.c.data).where(
            events.c.release_id.in_(mine), events.c.kind.in_((TRAFFIC, REMEDIES, VERIFIED))
        )
        judged = select(*(verdicts.c[it] for it in JUDGED)).where(verdicts.c.release_id.in_(mine))
        brought = select(reports.c.release_id, reports.c.content).where(
            reports.c.release_id.in_(mine), reports.c.name == COMMITS
        )
        for event in connection.execute(told.order_by(events.c.id)):
            found[event.release_id].hear(event)
        for verdict in connection.execute(judged.order_by(verdicts.c.decided_at)):
            found[verdict.release_id].judge(verdict)
        for it in connection.execute(brought):
            found[it.release_id].commits = _commits(it.content)
    return found


class Story:
    """What the history knows of one release."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self.full: dict[str, float] = {}
        self.back: dict[str, float] = {}
        self.verified: dict[str, float] = {}
        self.remedies: tuple[str, ...] = ()
        self.since: float | None = None
        self.commits: tuple[Commit, ...] = ()

    def hear(self, event: Any) -> None:
        data, where = event.data or {}, event.environment or ""
        if event.kind == REMEDIES and data.get("release"):
            self.remedies, self.since = (*self.remedies, data["release"]), data.get("since")
        elif event.kind == VERIFIED:
            self.verified[where] = event.at
        elif event.kind == TRAFFIC and data.get("weight"):
            self.first.setdefault(where, data["at"])
            if data["weight"] >= ALL:
                self.full.setdefault(where, data["at"])

    def judge(self, verdict: Any) -> None:
        """Releases of before have no events of their traffic: their verdicts tell that there was some."""
        if verdict.weight:
            self.first.setdefault(verdict.environment, verdict.decided_at)
        if verdict.judgement != "pass" and verdict.accepted_at is not None:
            self.back.setdefault(verdict.environment, verdict.accepted_at)


def _attempts(row: Any, story: Story, serving: dict[tuple[str, str], Attempt]) -> list[Attempt]:
    if row.dag_id == ROLLBACK_DAG:
        return _by_a_person(row, story, serving)
    return [
        Attempt(
            release=row.id,
            app=row.app,
            environment=where,
            outcome=row.outcome,
            first_traffic_at=story.first.get(where),
            full_at=story.full.get(where) or (row.promoted_at if row.outcome == "released" else None),
            back_at=story.back.get(where) or (row.ended_at if row.outcome == "rolled_back" else None),
            remedies=story.remedies,
            commits=story.commits,
            version=row.version,
        )
        for where in sorted({*story.first, *story.full}) or [""]
    ]


def _by_a_person(row: Any, story: Story, serving: dict[tuple[str, str], Attempt]) -> list[Attempt]:
    """A way back as a release of its own: it puts right what served until then, also what it cut off while that was still going on."""
    went = row.outcome == "rolled_back"
    return [
        Attempt(
            release=row.id,
            app=row.app,
            environment=where,
            outcome="released" if went else row.outcome,
            first_traffic_at=at,
            full_at=at,
            remedies=(serving[row.app, where].release,) if (row.app, where) in serving else (),
            version=row.version,
        )
        for where, at in story.verified.items()
    ]


def _commits(content: str) -> tuple[Commit, ...]:
    return tuple(Commit(it["sha"], it["authored_at"], it["counts"]) for it in json.loads(content))
