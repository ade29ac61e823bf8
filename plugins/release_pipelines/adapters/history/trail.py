"""The audit trail as people look through it: page by page, and as a file of a span."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Select, func, select

from release_pipelines.adapters.history.audit import Audit, row_of
from release_pipelines.adapters.history.tables import audit, audit_texts, releases
from release_pipelines.core.audit.row import Row
from release_pipelines.core.audit.verifying import Head
from release_pipelines.core.model.release_id import ROLLBACK_DAG

MICROSECONDS = 1_000_000
AT_ONCE = 1000
"""Rows that are fetched at a time, where there may be many."""


@dataclass(frozen=True)
class Wanted:
    """Which rows are asked for.

    :param apps: only rows of these apps; None: of all, and those that are about no app.
    :param person: who acted or is named; a part of the name will do.
    :param since: Unix time in seconds, as ``until``, which is not included.
    """

    apps: frozenset[str] | None = None
    app: str | None = None
    person: str | None = None
    action: str | None = None
    since: float | None = None
    until: float | None = None

    def of(self, query: Select[Any]) -> Select[Any]:
        """A query of the trail, of these rows alone."""
        if self.apps is not None:
            query = query.where(audit.c.app.in_(self.apps))
        if self.app is not None:
            query = query.where(audit.c.app == self.app)
        if self.action is not None:
            query = query.where(audit.c.action == self.action)
        if self.since is not None:
            query = query.where(audit.c.at >= self.since * MICROSECONDS)
        if self.until is not None:
            query = query.where(audit.c.at < self.until * MICROSECONDS)
        if self.person is not None:
            texts = audit_texts.alias()
            named = func.lower(texts.c.value).contains(self.person.lower(), autoescape=True)
            query = query.where(audit.c.number.in_(select(texts.c.number).where(named)))
        return query


class Trail(Audit):
    """Reads of the trail that are never all of it in memory."""

    def audit_page(self, wanted: Wanted, before: int | None = None, limit: int = 50) -> list[Row]:
        """Rows, newest first.

        :param before: only rows with lower numbers.
        """
        query = wanted.of(select(audit)).order_by(audit.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.number < before)
        with self._read() as connection:
            found = connection.execute(query).all()
            texts: dict[int, dict[str, Any]] = {}
            mine = audit_texts.c.number.in_([it.number for it in found])
            for it in connection.execute(select(audit_texts).where(mine)):
                texts.setdefault(it.number, {})[it.name] = it
        return [row_of(it, texts.get(it.number, {})) for it in found]

    @contextmanager
    def audit_reading(self, wanted: Wanted) -> Iterator[tuple[Iterator[Row], Head | None]]:
        """The rows in their order, one after the other, and the head, as they are at one moment."""
        texts = (audit_texts.c.name, audit_texts.c.value, audit_texts.c.salt)
        joined = select(audit, *texts).outerjoin(audit_texts, audit_texts.c.number == audit.c.number)
        query = wanted.of(joined).order_by(audit.c.number)
        with self._read(snapshot=True) as connection:
            head = self._head(connection)
            found = connection.execution_options(yield_per=AT_ONCE).execute(query)
            yield (_together(list(rows)) for _, rows in groupby(found, lambda it: it.number)), head

    def audit_actions(self, apps: frozenset[str] | None = None) -> list[str]:
        """The actions that the newest rows tell of, by name.

        :param apps: only of rows of these apps; None: of all.
        """
        newest = Wanted(apps).of(select(audit.c.action)).order_by(audit.c.number.desc()).limit(AT_ONCE).subquery()
        with self._read() as connection:
            found = connection.scalars(select(newest.c.action).distinct())
            return sorted(it for it in found if isinstance(it, str))

    def dags_of_apps(self) -> dict[str, set[str]]:
        """The apps that have releases, and the ids of the DAGs that release them: who may read an app, may read those."""
        query = select(releases.c.app, releases.c.dag_id).where(releases.c.dag_id != ROLLBACK_DAG).distinct()
        found: dict[str, set[str]] = {}
        with self._read() as connection:
            for app, dag_id in connection.execute(query):
                found.setdefault(app, set()).add(dag_id)
        return found


def _together(rows: list[Any]) -> Row:
    return row_of(rows[0], {it.name: it for it in rows if it.name is not None})
