"""All apps at once, as the overview reads them: a handful of queries, however many apps there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Subquery, exists, func, select, text, true

from release_pipelines.adapters.history.observations import Observations, look_in, looks
from release_pipelines.adapters.history.plans import open_plans
from release_pipelines.adapters.history.queries import ASKED, STARTED, listed
from release_pipelines.adapters.history.tables import (
    REACHED,
    approvals,
    events,
    releases,
    reports,
    train_apps,
    train_holds,
)
from release_pipelines.adapters.history.trains import Trains, app_in
from release_pipelines.core.model.progress import PROGRESS, Progress
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.overview import Listed, Told

COLUMNS = (
    "id", "app", "dag_id", "run_id", "version", "digest", "commit", "outcome", "sentence", "started_at", "ended_at",
)  # fmt: skip


class Overview(Trains, Observations):
    """Reads what the overview of all apps shows."""

    def told(self) -> Told:
        """What runs everywhere, what is going on, and how the last releases ended."""
        ended, forward = releases.c.outcome.is_not(None), releases.c.dag_id != ROLLBACK_DAG
        with self._read() as connection:
            newest = _newest(connection, releases.c.started_at, forward)
            last = _newest(connection, releases.c.ended_at, ended)
            last_in = _last_in(connection)
            seen = [look_in(row) for row in connection.execute(looks())]
            running = connection.scalars(select(releases.c.id).where(~ended)).all()
            held = select(train_holds.c.app, train_holds.c.environment, train_holds.c.release_id).where(~self._over())
            holds = {(it.app, it.environment): it.release_id for it in connection.execute(held)}
            ids = {
                *newest.values(),
                *last.values(),
                *last_in.values(),
                *running,
                *(it.release for it in seen if it.release),
            }
            known = _listed(connection, ids, running)
        of_app = defaultdict(list)
        for release in sorted((known[it] for it in running if it in known), key=lambda it: -it.started_at):
            of_app[release.app].append(release)
        return Told(
            newest={app: known[it] for app, it in newest.items()},
            running=of_app,
            last={app: known[it] for app, it in last.items()},
            last_in={place: known[it] for place, it in last_in.items()},
            seen={(it.app, it.environment): it for it in seen},
            brought={(it.app, it.environment): known[it.release] for it in seen if it.release in known},
            held=holds,
        )


def _newest(connection: Connection, by: Any, *conditions: Any) -> dict[str, str]:
    """The id of the newest release of each app, of those that fulfil the conditions."""
    apps = _distinct(releases.c.app)
    newest = _newest_of(apps.c.value, by, *conditions)
    return {
        row.app: row.id for row in connection.execute(select(apps.c.value.label("app"), newest.label("id"))) if row.id
    }


def _last_in(connection: Connection) -> dict[tuple[str, str], str]:
    """The id of the release that ended last in each environment, of those that changed it, by app and environment."""
    apps, environments = _distinct(releases.c.app), _distinct(events.c.environment, text(REACHED))
    there = (events.c.environment == environments.c.value, events.c.release_id == releases.c.id)
    reached = select(events.c.id).where(text(REACHED), *there).correlate_except(events).exists()
    last = _newest_of(apps.c.value, releases.c.ended_at, releases.c.outcome.is_not(None), reached)
    places = select(apps.c.value.label("app"), environments.c.value.label("environment"), last.label("id"))
    query = places.join_from(apps, environments, true())
    return {(row.app, row.environment): row.id for row in connection.execute(query) if row.id}


def _newest_of(app: Any, by: Any, *conditions: Any) -> ScalarSelect[str]:
    """The id of the newest release of one app, found from the end of an index: however many there are, a few are read."""
    query = select(releases.c.id).where(releases.c.app == app, *conditions)
    return query.order_by(by.desc(), releases.c.id.desc()).limit(1).scalar_subquery().correlate_except(releases)


def _distinct(column: ColumnElement[str], *conditions: Any) -> Subquery:
    """Every value of an indexed column, in its column ``value``: each one leads to the next, so that not all rows are read."""
    first = select(func.min(column).label("value")).where(*conditions).cte(recursive=True)
    following = select(func.min(column)).where(column > first.c.value, *conditions).scalar_subquery()
    found = first.union_all(select(following).where(first.c.value.is_not(None)))
    return select(found.c.value).where(found.c.value.is_not(None)).subquery()


def _listed(connection: Connection, ids: Iterable[str], running: Iterable[str]) -> dict[str, Listed]:
    """Releases by their ids; of those that are running how far they have come, too."""
    mine = set(running)
    asked = exists().where(events.c.release_id == releases.c.id, events.c.kind == ASKED)
    answered = exists().where(approvals.c.release_id == releases.c.id)
    waiting = set(connection.scalars(select(releases.c.id).where(releases.c.id.in_(mine), asked & ~answered)))
    kept = select(reports.c.release_id, reports.c.content).where(
        reports.c.name == PROGRESS, reports.c.release_id.in_(mine)
    )
    progress = {row.release_id: _progress(row.content) for row in connection.execute(kept)}
    planned = {it.release: it.start_at for it in open_plans(connection) if not it.begun}
    apps = defaultdict(list)
    of_trains = select(train_apps).where(train_apps.c.release_id.in_(list(ids))).order_by(train_apps.c.position)
    for row in connection.execute(of_trains):
        apps[row.release_id].append(app_in(row))
    # Who started a run for somebody else matters while its approval is open.
    began = select(events.c.release_id, events.c.data).where(events.c.kind == STARTED, events.c.release_id.in_(waiting))
    started = {
        row.release_id: (row.data or {}).get("by") for row in connection.execute(began.order_by(events.c.id.desc()))
    }
    query = listed()
    wanted = (*(releases.c[it] for it in COLUMNS), releases.c.requester.label("by"), query.selected_columns["approver"])
    return {
        row[0]: Listed(
            **row._mapping,
            started_by=started.get(row[0]),
            waits=row[0] in waiting,
            planned=planned.get(row[0]),
            progress=progress.get(row[0]),
            apps=tuple(apps[row[0]]) if row[0] in apps else (),
        )
        for row in connection.execute(query.with_only_columns(*wanted).where(releases.c.id.in_(list(ids))))
    }


def _progress(content: str) -> Progress | None:
    """How far a stage has come; None where another version wrote it in a way that this one cannot read."""
    try:
        return Progress.model_validate_json(content)
    except ValueError:
        return None
