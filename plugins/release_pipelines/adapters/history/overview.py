"""All apps at once, as the overview reads them: a handful of queries, however many apps there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, exists, func, select, text

from release_pipelines.adapters.history.observations import Observations, sighting_in
from release_pipelines.adapters.history.plans import open_plans
from release_pipelines.adapters.history.queries import ASKED, listed
from release_pipelines.adapters.history.tables import (
    REACHED,
    approvals,
    events,
    observations,
    releases,
    reports,
    train_apps,
    train_holds,
)
from release_pipelines.adapters.history.trains import Trains, app_in
from release_pipelines.core.model.base import stored
from release_pipelines.core.model.progress import PROGRESS, Progress
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.model.sighting import Sighting
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
            newest = dict(_newest(connection, releases.c.started_at, forward))
            last = dict(_newest(connection, releases.c.ended_at, ended))
            last_in = _last_in(connection)
            looks = [_look(row) for row in connection.execute(select(observations))]
            running = connection.scalars(select(releases.c.id).where(~ended)).all()
            held = select(train_holds.c.app, train_holds.c.environment, train_holds.c.release_id).where(~self._over())
            holds = {(it.app, it.environment): it.release_id for it in connection.execute(held)}
            ids = {
                *newest.values(),
                *last.values(),
                *last_in.values(),
                *running,
                *(it.release for it in looks if it.release),
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
            seen={(it.app, it.environment): it for it in looks},
            brought={(it.app, it.environment): known[it.release] for it in looks if it.release in known},
            held=holds,
        )


def _newest(connection: Connection, by: Any, *conditions: Any) -> Iterable[tuple[str, str]]:
    """The id of the newest release of each app, of those that fulfil the conditions."""
    newest = select(releases.c.app, func.max(by).label("at")).where(*conditions).group_by(releases.c.app).subquery()
    query = select(releases.c.app, releases.c.id).join(newest, (releases.c.app == newest.c.app) & (by == newest.c.at))
    return ((row.app, row.id) for row in connection.execute(query.where(*conditions).order_by(releases.c.id)))


def _last_in(connection: Connection) -> dict[tuple[str, str], str]:
    """The id of the release that ended last in each environment, of those that changed it, by app and environment."""
    reached = (text(REACHED), events.c.environment.is_not(None), releases.c.outcome.is_not(None))
    newest = (
        select(releases.c.app, events.c.environment, func.max(releases.c.ended_at).label("at"))
        .join(events, events.c.release_id == releases.c.id)
        .where(*reached)
        .group_by(releases.c.app, events.c.environment)
        .subquery()
    )
    same = (releases.c.app == newest.c.app) & (releases.c.ended_at == newest.c.at)
    query = select(releases.c.app, newest.c.environment, releases.c.id).join(newest, same)
    return {(row.app, row.environment): row.id for row in connection.execute(query.order_by(releases.c.id))}


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
    wanted = [releases.c[it] for it in COLUMNS]
    query = listed()
    approver, started = query.selected_columns["approver"], query.selected_columns["started"]
    query = query.with_only_columns(*wanted, releases.c.requester.label("by"), approver, started)
    found = {}
    for row in connection.execute(query.where(releases.c.id.in_(list(ids)))):
        values = {**row._mapping}
        by = (values.pop("started") or {}).get("by")
        more = (row.id in waiting, planned.get(row.id), progress.get(row.id), tuple(apps[row.id]))
        found[row.id] = Listed(**values, started_by=by, waits=more[0], planned=more[1], progress=more[2], apps=more[3])
    return found


def _look(row: Any) -> Sighting:
    """What was seen; only the columns where another version wrote the rest in a way that this one cannot read."""
    try:
        with stored():
            return sighting_in(row)
    except ValueError:
        return Sighting.model_validate({name: value for name, value in row._mapping.items() if name != "data"})


def _progress(content: str) -> Progress | None:
    """How far a stage has come; None where another version wrote it in a way that this one cannot read."""
    try:
        with stored():
            return Progress.model_validate_json(content)
    except ValueError:
        return None
