"""Releases that are planned for a moment. A plan is an event of its release, and ends with it, or when the release begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, insert, select

from release_pipelines.adapters.history.errors import UnknownRelease
from release_pipelines.adapters.history.reports import Reports
from release_pipelines.adapters.history.tables import events, releases
from release_pipelines.core.model.records import Plan

PLANNED, WINDOW, DEPLOYED = "planned", "window", "deployed"
"""Kinds of events: a release is planned; what its window says; a version was deployed."""
BEGAN = "began_at"
"""In the data of an event of the window: the release may begin now, and its plan is over."""


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
