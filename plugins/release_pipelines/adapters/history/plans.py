"""Releases that are planned for a moment. A plan is an event of its release, and ends with it, or when the release begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, or_, select

from release_pipelines.adapters.history.errors import UnknownRelease
from release_pipelines.adapters.history.reports import Reports
from release_pipelines.adapters.history.tables import events, releases
from release_pipelines.core.model.records import Plan

PLANNED, WINDOW, DEPLOYED = "planned", "window", "deployed"
"""Kinds of events: a release is planned; what its window says; a version was deployed."""
BEGAN = "began_at"
"""In the data of an event of the window: the release may begin now, and its plan is over."""
CHANGED_NOTHING = ("no_op", "rejected", "expired")
TRAFFIC, ALL = "traffic", 100
"""Kind of event: a stage got its traffic, in percent."""


class Happened(NamedTuple):
    """A release as a calendar shows it.

    :param outcome: None: it goes on.
    :param environment: the last one in which it got traffic; empty: in none, or that is not known.
    :param at: when all traffic was on it; of one that did not stay, its first traffic; of one that got none, its end; of one that goes on,
        its beginning. Unix time in seconds.
    """

    release: str
    app: str
    dag_id: str
    run_id: str
    version: str
    outcome: str | None
    environment: str
    at: float


class Plans(Reports):
    """Plans of releases, written and read."""

    def plan(self, release_id: str, environment: str, start_at: str, collides: Callable[[str], bool]) -> Plan | None:
        """Plan a release, unless another one of its app stands in the way; of two at one instant only one is planned.

        Planning the same again changes nothing.

        :param environment: the environment that it begins in then.
        :param start_at: the wall time, and its zone.
        :param collides: whether another plan's ``start_at`` is in the same window.
        :return: the other release's plan; None: this one is planned.
        """
        with self._write() as connection:
            query = select(releases.c.app).where(releases.c.id == release_id)
            app = connection.scalar(query)
            if app is None:
                raise UnknownRelease(f"The history knows no release {release_id}: it has not begun.")
            running = select(releases.c.id).where(releases.c.app == app, releases.c.outcome.is_(None))
            # whoever plans for this app at the same time has to wait here, and then sees this plan
            connection.execute(running.order_by(releases.c.id).with_for_update()).all()
            known = open_plans(connection, app)
            for it in known:
                if it.release != release_id and collides(it.start_at):
                    return it
            if not any(it.release == release_id and it.start_at == start_at for it in known):
                row = {
                    "kind": PLANNED,
                    "environment": None,  # it has not reached it yet (R1)
                    "sentence": f"Planned for {start_at}.",
                    "data": {"start_at": start_at, "environment": environment},
                }
                connection.execute(insert(events).values(release_id=release_id, at=self._now(), **row))
        return None

    def plans(self, app: str | None = None) -> list[Plan]:
        """What is planned and has not begun, in the order in which it was planned.

        :param app: of this app; None: of all.
        """
        with self._read() as connection:
            return [it for it in open_plans(connection, app) if not it.begun]

    def happened(self, start: float, end: float, app: str | None = None) -> list[Happened]:
        """What was released in a span of time, oldest first; without what changed nothing.

        :param start: Unix time in seconds, as ``end``, which no longer belongs to it.
        :param app: of this app; None: of all.
        """
        columns = ("id", "app", "dag_id", "run_id", "version", "outcome", "started_at", "ended_at", "promoted_at")
        query = select(*(releases.c[it] for it in columns)).where(
            releases.c.started_at < end,
            or_(releases.c.ended_at.is_(None), releases.c.ended_at >= start),
            or_(releases.c.outcome.is_(None), releases.c.outcome.not_in(CHANGED_NOTHING)),
        )
        if app is not None:
            query = query.where(releases.c.app == app)
        mine = query.with_only_columns(releases.c.id)
        told = select(events.c.release_id, events.c.environment, events.c.data).where(
            events.c.release_id.in_(mine), events.c.kind == TRAFFIC
        )
        traffic: defaultdict[str, list[Any]] = defaultdict(list)
        with self._read() as connection:
            rows = connection.execute(query).all()
            for it in connection.execute(told.order_by(events.c.id)):
                if it.data and it.data.get("weight"):
                    traffic[it.release_id].append(it)
        found = [_happened(row, traffic[row.id]) for row in rows]
        return sorted((it for it in found if start <= it.at < end), key=lambda it: (it.at, it.release))


def _happened(row: Any, told: Sequence[Any]) -> Happened:
    """Where and when a release is shown.

    :param told: its events of traffic, in order.
    """
    first: dict[str, float] = {}
    full: dict[str, float] = {}
    for it in told:
        first.setdefault(it.environment or "", it.data["at"])
        if it.data["weight"] >= ALL:
            full.setdefault(it.environment or "", it.data["at"])
    where = max(first, key=lambda it: first[it], default="")
    if row.outcome is None:
        at = row.started_at
    elif row.outcome == "released":
        at = full.get(where) or row.promoted_at or row.ended_at or row.started_at
    else:
        at = first.get(where) or row.ended_at or row.started_at
    return Happened(row.id, row.app, row.dag_id, row.run_id, row.version, row.outcome, where, at)


def open_plans(connection: Connection, app: str | None = None) -> list[Plan]:
    """The plans of releases that have not ended; the last one of each."""
    query = (
        select(releases, events.c.kind, events.c.environment, events.c.data)
        .join(events, events.c.release_id == releases.c.id)
        .where(releases.c.outcome.is_(None), events.c.kind.in_((PLANNED, WINDOW, DEPLOYED)))
        .order_by(events.c.id)
    )
    if app is not None:
        query = query.where(releases.c.app == app)
    found: dict[str, Plan] = {}
    for row in connection.execute(query):
        data: dict[str, Any] = row.data or {}
        if row.kind == PLANNED and "start_at" in data:
            found[row.id] = Plan(
                release=row.id,
                app=row.app,
                version=row.version,
                environment=data.get("environment") or row.environment or "",
                start_at=data["start_at"],
                requester=row.requester,
            )
        elif row.id in found and found[row.id].environment == _begun_in(row.kind, row.environment, data):
            found[row.id] = found[row.id].model_copy(update={"begun": True})
    return list(found.values())


def _begun_in(kind: str, environment: str | None, data: dict[str, Any]) -> str | None:
    """The environment in which a release began by this event; None: in none."""
    if kind == WINDOW:
        return data.get("environment") if BEGAN in data else None
    return environment if kind == DEPLOYED else None
