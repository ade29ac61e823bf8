"""What was pushed, and which releases it asks for."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from release_pipelines.adapters.history.queries import listed, release_in
from release_pipelines.adapters.history.reports import Reports
from release_pipelines.adapters.history.tables import deliveries, releases, starts
from release_pipelines.core.model.records import Release
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.pushes.deciding import Fate
from release_pipelines.core.pushes.meaning import Start
from release_pipelines.core.pushes.records import Delivery, KeptStart, State

SEEN = "seen"
"""State of what was there when an app was compared with its forge or registry for the first time: nothing is started of it."""


class Asked(NamedTuple):
    """A start as it is kept.

    :param new: whether this call has added it.
    """

    kept: KeptStart
    new: bool


class Pushes(Reports):
    """Deliveries and starts. Who adds a start first adds it for all."""

    def deliver(self, app: str, source: str, name: str | None, told: list[Any]) -> int:
        """Keep what was sent for an app, before anybody looks what it means.

        :param told: pushes as JSON, and sentences about what is none.
        :return: its id.
        """
        row = {"app": app, "source": source, "name": name, "told": told, "at": self._now()}
        with self._write() as connection:
            return int(connection.execute(insert(deliveries).values(**row).returning(deliveries.c.id)).scalar_one())

    def judged(self, delivery: int, sentence: str) -> None:
        """Say what a delivery came to."""
        with self._write() as connection:
            here = update(deliveries).where(deliveries.c.id == delivery)
            connection.execute(here.values(judged_at=self._now(), sentence=sentence))

    def deliveries(self, app: str | None = None, limit: int = 50, *, unjudged: bool = False) -> list[Delivery]:
        """What was sent, newest first; with ``unjudged`` what nobody has looked at, oldest first."""
        query = select(deliveries).order_by(deliveries.c.id if unjudged else deliveries.c.id.desc()).limit(limit)
        if app is not None:
            query = query.where(deliveries.c.app == app)
        if unjudged:
            query = query.where(deliveries.c.judged_at.is_(None))
        with self._read() as connection:
            return [Delivery.model_validate(dict(row._mapping)) for row in connection.execute(query)]

    def ask_for(self, environment: str, start: Start, fate: Fate) -> Asked:
        """Add a start, unless one of the same app, environment and subject is there.

        One that was found by comparison, and waits, gets who pushed it from who tells that later.

        :param fate: its first state.
        """
        row = {
            **start._asdict(),
            "environment": environment,
            "state": fate.state,
            "sentence": fate.sentence,
            "at": self._now(),
            "changed_at": self._now(),
        }
        with self._write() as connection:
            new = self._is_new(connection, row)
            same = (starts.c.app == start.app, starts.c.environment == environment, starts.c.subject == start.subject)
            if not new and start.by:
                nobody = (starts.c.by.is_(None), starts.c.state == "waiting")
                connection.execute(update(starts).where(*same, *nobody).values(by=start.by, source=start.source))
            kept = connection.execute(select(starts).where(*same)).one()
        return Asked(KeptStart.model_validate(dict(kept._mapping)), new)

    def starts(
        self, app: str | None = None, *states: State, limit: int = 50, environment: str | None = None
    ) -> list[KeptStart]:
        """Starts, newest first."""
        query = select(starts).where(starts.c.state != SEEN).order_by(starts.c.id.desc()).limit(limit)
        if app is not None:
            query = query.where(starts.c.app == app)
        if environment is not None:
            query = query.where(starts.c.environment == environment)
        if states:
            query = query.where(starts.c.state.in_(states))
        with self._read() as connection:
            return [KeptStart.model_validate(dict(row._mapping)) for row in connection.execute(query)]

    def becomes(self, start: KeptStart, fate: Fate) -> bool:
        """Change a start's state, unless somebody else has changed it meanwhile.

        :return: whether it was changed.
        """
        with self._write() as connection:
            here = update(starts).where(starts.c.id == start.id, starts.c.state == start.state)
            news = {"state": fate.state, "sentence": fate.sentence, "changed_at": self._now()}
            return connection.execute(here.values(**news)).rowcount == 1

    def is_known(self, environment: str, start: Start) -> bool:
        """Whether a start was asked for, or left out."""
        subjects = (start.subject, f"seen:{start.subject}")
        same = (starts.c.app == start.app, starts.c.environment == environment, starts.c.subject.in_(subjects))
        with self._read() as connection:
            return connection.execute(select(starts.c.id).where(*same)).first() is not None

    def leave_out(self, environment: str, start: Start) -> None:
        """Note that a push starts nothing, so that a comparison does not find it; another push of the same may."""
        self.first_seen(environment, start.subject, start)

    def first_seen(self, environment: str, what: str, start: Start) -> Start:
        """What was newest when an app was compared with something for the first time; this one, if that is now.

        :param what: what it is compared with, like ``branch:main``.
        :param start: a release of what is newest there now; its subject is empty where there is nothing.
        """
        row = {
            "app": start.app, "environment": environment, "subject": f"seen:{what}", "version": start.version,
            "commit": start.commit, "digest": start.digest, "source": "comparison", "state": SEEN, "at": self._now(),
            "changed_at": self._now(),
        }  # fmt: skip
        query = select(starts).where(
            starts.c.app == start.app, starts.c.environment == environment, starts.c.subject == row["subject"]
        )
        with self._read() as connection:
            seen = connection.execute(query).first()
        if seen is None:
            with self._write() as connection:
                self._is_new(connection, row)
                seen = connection.execute(query).one()
        subject = f"commit:{seen.commit}" if seen.commit else f"digest:{seen.digest}" if seen.digest else ""
        return Start(start.app, seen.version, subject, seen.commit, seen.digest)

    def releases_like(self, start: Start) -> list[Release]:
        """The app's releases of a start's version, commit or digest, newest first."""
        same = [releases.c.version == start.version, releases.c.run_id == start.run_id]
        if start.commit:
            same.append(releases.c.commit == start.commit)
        if start.digest:
            same.append(releases.c.digest == start.digest)
        query = listed().where(releases.c.app == start.app, releases.c.dag_id != ROLLBACK_DAG, or_(*same))
        with self._read() as connection:
            rows = connection.execute(query.order_by(releases.c.started_at.desc()))
            return [Release.model_validate(release_in(row)) for row in rows]

    def _prune_pushes(self, connection: Connection, before: float) -> None:
        """Remove old deliveries and starts, but the newest start of every app that had a run, and what still waits."""
        connection.execute(delete(deliveries).where(deliveries.c.at < before))
        newest = select(func.max(starts.c.id)).where(starts.c.state == "started").group_by(starts.c.app)
        done = starts.c.state.in_(("started", "ignored", "refused"))
        connection.execute(delete(starts).where(starts.c.changed_at < before, done, starts.c.id.not_in(newest)))

    @staticmethod
    def _is_new(connection: Connection, row: dict[str, Any]) -> bool:
        """Add a start that is not there yet; of several processes one does."""
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        added = dialect.insert(starts).values(**row).on_conflict_do_nothing().returning(starts.c.id)
        return connection.execute(added).first() is not None
