"""What is new in the history: one cheap statement, asked again and again for pages that are looked at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from release_pipelines.adapters.history.errors import reachable
from release_pipelines.adapters.history.questions import Questions

NEWEST = 64
"""How many of the newest rows of each table one look takes: what is written between two looks fits, also by writers that overlap."""
FOLLOWED = 500
"""How many releases one look follows at most; what is new of others still shows in the newest rows."""


class Sign(NamedTuple):
    """One row of the history, by what changes when the row does."""

    table: str
    release: str | None
    app: str | None
    mark: str
    running: bool = False


@dataclass(frozen=True)
class News:
    """What differs between two looks.

    :param releases: ids of releases of which there is something new.
    :param apps: apps of which what runs was looked at again.
    :param everything: more than a look shows may be new.
    """

    releases: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.releases or self.apps or self.everything)


def news(before: frozenset[Sign] | None, now: frozenset[Sign]) -> News:
    """What is new since a look.

    :param before: the look before; None: there was none.
    """
    if before is None:
        return News(everything=True)
    if before is now:
        return News()
    fresh = now - before
    return News(
        releases=frozenset(it.release for it in fresh if it.release),
        apps=frozenset(it.app for it in fresh if it.app),
        everything=any(_may_miss(table, before, now) for table in {it.table for it in fresh}),
    )


def _may_miss(table: str, before: frozenset[Sign], now: frozenset[Sign]) -> bool:
    """Whether rows came and went unseen: nothing of a full look was in the one before."""
    mine = {it for it in now if it.table == table}
    return len(mine) >= NEWEST and not mine & before


class Pulse:
    """Looks at the history over one connection, which is kept open. For one thread at a time.

    :param engine: of the history's database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._running: frozenset[str] | None = None
        self._rows: list[Any] = []
        self._found: frozenset[Sign] = frozenset()

    def look(self, watched: Collection[str] = ()) -> frozenset[Sign]:
        """One statement: the newest rows, and how those releases stand that run, are watched, or have new rows.

        :param watched: ids of releases that somebody looks at.
        :raises HistoryUnavailable: when the database does not answer; the next look connects anew.
        """
        try:
            with reachable(self._engine):
                if self._connection is None:
                    # PostgreSQL needs no further words around a single statement.
                    self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                ids = sorted({*watched, *(self._running or ())})[:FOLLOWED]
                sign = "?" if self._engine.dialect.paramstyle == "qmark" else "%s"
                words = _statement(self._running is None, ", ".join([sign] * len(ids)) or "NULL")
                with self._connection.begin():
                    rows = self._connection.exec_driver_sql(words, tuple(ids)).all()
        except Exception:
            self.close()
            raise
        if rows != self._rows:  # mostly nothing is new
            self._rows = list(rows)
            self._found = frozenset(Sign(row.name, row.release, row.app, row.mark, bool(row.running)) for row in rows)
        self._running = frozenset(it.release for it in self._found if it.running and it.release)
        return self._found

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection, self._running = self._connection, None, None
        if connection is not None:
            connection.invalidate()
            connection.close()


class Pulses(Questions):
    """The history as pages that are looked at follow it."""

    def pulse(self) -> Pulse:
        """What tells again and again whether something is new."""
        return Pulse(self._engine)


_TABLES = ("release_events", "release_verdicts", "release_approvals", "release_marks", "release_remarks")
_NEWEST = " UNION ALL ".join(
    [
        f"SELECT * FROM (SELECT '{table}' AS name, release_id AS release, CAST(id AS VARCHAR) AS mark "  # noqa: S608
        f"FROM {table} ORDER BY id DESC LIMIT {NEWEST}) AS of_{table}"
        for table in _TABLES
    ]
    + [
        "SELECT * FROM (SELECT 'release_audit' AS name, release, CAST(number AS VARCHAR) AS mark "  # noqa: S608
        f"FROM release_audit ORDER BY number DESC LIMIT {NEWEST}) AS of_audit"
    ]
)
_RUNNING = "UNION SELECT id FROM releases WHERE outcome IS NULL"
"""No index serves this, so it is asked once; from then on those that ran at the look before are followed."""
_LOOK = """
WITH newest AS ({newest}),
followed AS (
  SELECT r.id, CASE WHEN r.outcome IS NULL THEN 1 ELSE 0 END AS running,
    COALESCE(r.outcome, '') || '|' || r.version || '|' || COALESCE(r.digest, '') || '|' || COALESCE(r.sentence, '') || '|' ||
    CAST(COALESCE(r.ended_at, 0) AS VARCHAR) || '|' || CAST(COALESCE(r.promoted_at, 0) AS VARCHAR) AS mark
  FROM (SELECT release AS id FROM newest UNION SELECT id FROM releases WHERE id IN ({ids}) {running}) AS ids
  JOIN releases r ON r.id = ids.id
)
SELECT name, release, NULL AS app, mark, 0 AS running FROM newest
UNION ALL SELECT 'releases', id, NULL, mark, running FROM followed
UNION ALL SELECT 'release_reports', p.release_id, NULL, p.name || '|' || CAST(p.at AS VARCHAR), 0
  FROM followed f JOIN release_reports p ON p.release_id = f.id
UNION ALL SELECT 'train_apps', t.release_id, NULL, t.app || '|' || t.result || '|' ||
    CAST(COALESCE(t.held_at, 0) AS VARCHAR) || '|' || CAST(COALESCE(t.approved_at, 0) AS VARCHAR), 0
  FROM followed f JOIN train_apps t ON t.release_id = f.id
UNION ALL SELECT * FROM (SELECT 'release_observations', NULL, app, app || '|' || environment || '|' || CAST(looked_at AS VARCHAR), 0
  FROM release_observations ORDER BY looked_at DESC LIMIT {limit}) AS looks
"""


@lru_cache(maxsize=8)
def _statement(first: bool, ids: str) -> str:
    """All of a look, in the words that PostgreSQL and SQLite share; SQLAlchemy's own take longer to make than to run.

    Nothing but names of our own stands in the text.

    :param ids: a placeholder for each id.
    """
    return _LOOK.format(newest=_NEWEST, running=_RUNNING if first else "", limit=NEWEST, ids=ids)
