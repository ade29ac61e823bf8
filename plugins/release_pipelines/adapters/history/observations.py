"""What was last seen to run in each environment, beside what was last tried there."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, Text, and_, cast, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from release_pipelines.adapters.history.attempts import ALL, TRAFFIC, VERIFIED
from release_pipelines.adapters.history.queries import listed, release_in
from release_pipelines.adapters.history.reports import Reports
from release_pipelines.adapters.history.tables import events, observations, releases, reports
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.progress import PROGRESS, Progress
from release_pipelines.core.model.records import Release
from release_pipelines.core.model.release_id import is_rollback
from release_pipelines.core.model.sighting import Served, Sighting

DEPLOYED, ROLLBACK = "deployed", "rollback"
PLAIN = tuple(it for it in observations.c if it.name != "data")
COLUMNS = frozenset(it.name for it in PLAIN)
LOOKS = 4096
"""So many are kept as they were read: reading a thousand takes longer than asking for them."""


class Observations(Reports):
    """Rows of what runs, written by whoever looks and read by everybody."""

    def observe(self, rows: Iterable[Sighting]) -> None:
        """Keep these looks, one row for each app in an environment; one that is older than what is kept changes nothing."""
        kept = [_row(it) for it in sorted(rows, key=lambda it: (it.app, it.environment))]
        if not kept:
            return
        dialect: Any = sqlite if self._engine.dialect.name == "sqlite" else postgresql
        new = dialect.insert(observations)
        newer = new.on_conflict_do_update(
            index_elements=["app", "environment"],
            set_={it.name: new.excluded[it.name] for it in observations.c if not it.primary_key},
            where=observations.c.looked_at <= new.excluded.looked_at,
        )
        with self._write() as connection:
            connection.execute(newer, kept)

    def observations(self, apps: Collection[str] | None = None) -> list[Sighting]:
        """What was last seen, by app and environment.

        :param apps: of these apps; None: of all.
        """
        query = select(observations).order_by(observations.c.app, observations.c.environment)
        if apps is not None:
            query = query.where(observations.c.app.in_(apps))
        with self._read() as connection:
            return [sighting_in(it) for it in connection.execute(query)]

    def no_longer_observed(self, gone: Collection[tuple[str, str]]) -> None:
        """Forget what was seen there.

        :param gone: apps and environments.
        """
        with self._write() as connection:
            for app, environment in sorted(gone):
                here = (observations.c.app == app, observations.c.environment == environment)
                connection.execute(delete(observations).where(*here))

    def served(self, app: str, environment: str) -> list[Served]:
        """The releases that gave their digest all traffic of an environment, newest first."""
        query = (
            select(events, releases.c.digest, releases.c.version)
            .join(releases, releases.c.id == events.c.release_id)
            .where(
                releases.c.app == app,
                releases.c.digest.is_not(None),
                events.c.environment == environment,
                events.c.kind.in_((TRAFFIC, VERIFIED, DEPLOYED, ROLLBACK)),
            )
            .order_by(events.c.id)
        )
        with self._read() as connection:
            found = _served(connection.execute(query))
        return sorted(found, key=lambda it: it.at, reverse=True)

    def versions(self, app: str, digests: Collection[str]) -> dict[str, str]:
        """The versions as which an app's releases know these digests, the newest where one has several."""
        query = select(releases.c.digest, releases.c.version).where(
            releases.c.app == app, releases.c.digest.in_(digests)
        )
        with self._read() as connection:
            return {row.digest: row.version for row in connection.execute(query.order_by(releases.c.started_at))}

    def standing_releases(self, rows: Iterable[Sighting] = (), apps: Collection[str] | None = None) -> list[Release]:
        """Of each app the releases that run, the one that ended last, and those that brought what runs now.

        :param rows: what runs now.
        :param apps: of these apps; None: of all.
        """
        ended = releases.alias()
        last = (
            select(ended.c.app, func.max(ended.c.ended_at).label("at"))
            .where(ended.c.outcome.is_not(None), *_of(ended.c.app, apps))
            .group_by(ended.c.app)
            .subquery()
        )
        seen = {it.release for it in rows if it.release}
        is_last = and_(releases.c.app == last.c.app, releases.c.ended_at == last.c.at)
        wanted = or_(releases.c.outcome.is_(None), is_last, releases.c.id.in_(seen))
        query: Select[Any] = listed().outerjoin_from(releases, last, releases.c.app == last.c.app)
        query = query.where(wanted, *_of(releases.c.app, apps)).order_by(releases.c.app, releases.c.started_at)
        with self._read() as connection:
            return [Release.model_validate(release_in(row)) for row in connection.execute(query)]

    def progress_of(self, release_ids: Collection[str]) -> dict[str, Progress]:
        """How far the stages of these releases have come, by the release's id; those of which nothing is kept are left out."""
        mine = (reports.c.release_id.in_(release_ids), reports.c.name == PROGRESS)
        with self._read() as connection:
            rows = connection.execute(select(reports.c.release_id, reports.c.content).where(*mine)).all()
        return {row.release_id: Progress.model_validate_json(row.content) for row in rows}


def _of(column: Any, apps: Collection[str] | None) -> list[Any]:
    return [] if apps is None else [column.in_(apps)]


def _row(it: Sighting) -> dict[str, Any]:
    stated = to_json(it)
    columns = {name: stated.pop(name, None) for name in COLUMNS}
    return {**columns, "data": stated}


def sighting_in(row: Any) -> Sighting:
    """What was seen, in a row of ``release_observations``."""
    known = dict(row._mapping)
    return Sighting.model_validate({**(known.pop("data") or {}), **known})


def looks() -> Select[Any]:
    """Every row of ``release_observations``, for :func:`look_in`."""
    return select(*PLAIN, cast(observations.c.data, Text).label("data"))


def look_in(row: Any) -> Sighting:
    """The same as :func:`sighting_in` of a row of :func:`looks`, made once for as long as the row says the same.

    Of what another version wrote in a way that this one cannot read, the columns alone.
    """
    return _look(*row)


@lru_cache(maxsize=LOOKS)
def _look(*values: Any) -> Sighting:
    *plain, data = values
    columns = {column.name: value for column, value in zip(PLAIN, plain, strict=True)}
    try:
        return Sighting.model_validate({**(json.loads(data or "null") or {}), **columns})
    except (TypeError, ValueError):
        return Sighting.model_validate(columns)


def _served(rows: Iterable[Any]) -> list[Served]:
    """One for each release that had all traffic, and one for each way back from it.

    A release had it at the stage in which it got it; where it had no stages, when its deployment put it on stable.
    """
    stories: dict[str, _Story] = {}
    for row in rows:
        stories.setdefault(row.release_id, _Story(row)).hear(row)
    return [it for story in stories.values() for it in story.served()]


class _Story:
    """What the history knows of one release in one environment."""

    def __init__(self, row: Any) -> None:
        self.release: str = row.release_id
        self.version, self.digest = row.version, row.digest
        self.staged = False
        self.full: float | None = None
        self.placed: float | None = None
        self.before: str | None = None
        self.back: dict[str, Any] = {}
        self.back_at: float | None = None

    def hear(self, event: Any) -> None:
        data = event.data or {}
        if event.kind == TRAFFIC:
            self.staged = True
            if self.full is None and (data.get("weight") or 0) >= ALL:
                self.full = data.get("at", event.at)
        elif event.kind == ROLLBACK:
            self.back = data
        elif event.kind == VERIFIED:
            self.back_at = event.at
        elif data.get("track") == "stable":
            self.placed, self.before = event.at, data.get("previous_digest")

    def served(self) -> Iterator[Served]:
        full = self.full if self.staged else self.placed
        if full is not None:
            yield Served(
                release=self.release,
                version=self.version,
                digest=self.digest,
                at=full,
                before=self.before,
                judged=self.staged,
            )
        by_person = is_rollback(self.release)
        if self.back_at is not None and self.back.get("digest") and (by_person or full is not None):
            version = self.back.get("version") or self.version
            back = {"version": version, "digest": self.back["digest"], "at": self.back_at}
            yield Served(release=self.release, returned=not by_person, judged=not by_person, **back)
