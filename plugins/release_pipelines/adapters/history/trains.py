"""Trains in the history: their apps, which of them they hold, and what they ask of other releases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import and_, delete, exists, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from release_pipelines.adapters.history.blame import stability_of
from release_pipelines.adapters.history.queries import artifact_in, fields, listed, release_in, releases_of, stories
from release_pipelines.adapters.history.reports import Reports
from release_pipelines.adapters.history.tables import approvals, events, releases, train_apps, train_holds
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.person import Identity
from release_pipelines.core.model.records import Release
from release_pipelines.core.model.train import TrainApp

HOLD_SECONDS = 3600.0
"""A train that has not been heard of for so long does not hold its apps any more, in seconds."""


class Trains(Reports):
    """Reads and writes what trains do. A train is a release whose app is the id of its DAG."""

    # --- its apps -----------------------------------------------------------------------------------------------

    def plan_train(self, train: str, version: str, apps: Sequence[TrainApp]) -> None:
        """Keep what a train is going to release; a second call changes nothing.

        :param train: its id.
        :param version: what is released, in few words, for lists.
        """
        with self._write() as connection:
            self._known(connection, train)
            if connection.execute(select(train_apps.c.id).where(train_apps.c.release_id == train)).first():
                return
            connection.execute(update(releases).where(releases.c.id == train).values(version=version[:255]))
            rows = [{"release_id": train, **it.model_dump()} for it in apps]
            if rows:
                connection.execute(insert(train_apps), rows)

    def train_apps(self, train: str) -> list[TrainApp]:
        """The apps of a train, in the order of its file; none where it does not know them yet."""
        query = select(train_apps).where(train_apps.c.release_id == train).order_by(train_apps.c.position)
        with self._read() as connection:
            return [app_in(row) for row in connection.execute(query)]

    def change_train(self, train: str, app: str, **values: Any) -> None:
        """Set fields of a :class:`TrainApp`: what became of the app."""
        here = (train_apps.c.release_id == train, train_apps.c.app == app)
        with self._write() as connection:
            connection.execute(update(train_apps).where(*here).values(**values))

    def approve_train(self, train: str, apps: Collection[str], by: Identity) -> None:
        """Keep whose approval counts for these apps of a train."""
        here = (train_apps.c.release_id == train, train_apps.c.app.in_(apps), train_apps.c.approved_at.is_(None))
        with self._write() as connection:
            given = update(train_apps).where(*here)
            connection.execute(given.values(approver=by.name, approver_id=by.id, approved_at=self._now()))

    # --- whom an app belongs to ---------------------------------------------------------------------------------

    def hold_apps(self, train: str, apps: Sequence[TrainApp]) -> dict[str, str]:
        """Keep these apps for the train, all of them or none.

        :return: apps that other trains hold, to the ids of those; empty: all of them are this train's now.
        """
        with self._write() as connection:
            self._known(connection, train)
            connection.execute(delete(train_holds).where(self._over()))
            if not apps:
                return {}
            rows = [
                {"release_id": train, "app": it.app, "environment": it.environment, "alive_at": self._now()}
                for it in apps
            ]
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(dialect.insert(train_holds).on_conflict_do_nothing(), rows)
            held = connection.execute(select(train_holds).where(or_(*map(_place, apps)))).all()
            others = {row.app: row.release_id for row in held if row.release_id != train}
            if others:
                connection.execute(delete(train_holds).where(train_holds.c.release_id == train))
            return others

    def keep_holds(self, train: str) -> None:
        """The train is still there."""
        with self._write() as connection:
            mine = update(train_holds).where(train_holds.c.release_id == train)
            connection.execute(mine.values(alive_at=self._now()))

    def end_holds(self, train: str) -> None:
        """Its apps are everybody's again."""
        with self._write() as connection:
            connection.execute(delete(train_holds).where(train_holds.c.release_id == train))

    def train_of(self, app: str, environment: str) -> str | None:
        """The id of the train that holds an app; None where none does."""
        here = (train_holds.c.app == app, train_holds.c.environment == environment)
        query = select(train_holds.c.release_id).where(*here, ~self._over())
        with self._read() as connection:
            return connection.scalar(query)

    def ticket(self, app: str, run_id: str) -> tuple[str, TrainApp] | None:
        """The train whose release of an app a run of the app's own DAG is, and what it knows of it; None where it is no train's."""
        query = select(train_apps).where(train_apps.c.app == app, train_apps.c.run_id == run_id)
        with self._read() as connection:
            row = connection.execute(query.order_by(train_apps.c.id.desc()).limit(1)).first()
        return (row.release_id, app_in(row)) if row else None

    def _over(self) -> Any:
        """Whether a hold counts no more: its train has ended, or has not been heard of."""
        ended = exists().where(releases.c.id == train_holds.c.release_id, releases.c.outcome.is_not(None))
        return or_(ended, train_holds.c.alive_at < self._now() - HOLD_SECONDS)

    # --- other releases -----------------------------------------------------------------------------------------

    def release_of_run(self, dag_id: str, run_id: str) -> Release | None:
        """The release that a run is; where it was cleared, the last one. None: it has not begun."""
        query = listed().where(releases.c.dag_id == dag_id, releases.c.run_id == run_id)
        with self._read() as connection:
            row = connection.execute(query.order_by(releases.c.started_at.desc()).limit(1)).first()
        return Release.model_validate(release_in(row)) if row else None

    def later_releases(self, app: str, since: float) -> list[Release]:
        """The app's releases and rollbacks that began after a Unix time in seconds, newest first."""
        query = listed().where(releases.c.app == app, releases.c.started_at > since)
        with self._read() as connection:
            rows = connection.execute(query.order_by(releases.c.started_at.desc()))
            return [Release.model_validate(release_in(row)) for row in rows]

    def newest_passed(self, app: str, environment: str, production: str) -> Artifact | None:
        """The newest artifact that passed an environment, and that neither production nor a person has taken back.

        It passed where its release came so far that it was asked for production, or was to stop there and did.
        """
        deployed = exists().where(
            events.c.release_id == releases.c.id, events.c.kind == "deployed", events.c.environment == environment
        )
        asked = exists().where(events.c.release_id == releases.c.id, events.c.kind == "asked")
        answered = exists().where(approvals.c.release_id == releases.c.id)
        passed = or_(
            releases.c.promoted_at.is_not(None), and_(deployed, or_(asked, answered, releases.c.outcome == "no_op"))
        )
        latest = (
            select(approvals.c.decision, releases.c.digest)
            .join(releases, releases.c.id == approvals.c.release_id)
            .where(releases.c.app == app)
            .order_by(approvals.c.id)
        )
        with self._read() as connection:
            known = connection.execute(releases_of(app, releases.c.digest.is_not(None))).all()
            judged = stability_of(known, stories(connection, app), production)
            bad = {it.digest for it in judged if any(mark.lifted_at is None for mark in it.marks) and not it.good}
            said = {row.digest: row.decision for row in connection.execute(latest)}
            bad |= {digest for digest, decision in said.items() if decision == "rejected"}
            rows = connection.execute(releases_of(app, releases.c.digest.is_not(None), passed)).all()
            return artifact_in(next((row for row in rows if row.digest not in bad), None))


def _place(app: TrainApp) -> Any:
    return and_(train_holds.c.app == app.app, train_holds.c.environment == app.environment)


def app_in(row: Any) -> TrainApp:
    """The app in a row of ``train_apps``."""
    return TrainApp.model_validate({k: v for k, v in fields(row).items() if k != "release_id"})
