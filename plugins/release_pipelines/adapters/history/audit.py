"""The audit trail in the database: rows are added under one lock, so that no two follow the same row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from release_pipelines.adapters.history.column_types import safe
from release_pipelines.adapters.history.reports import Reports
from release_pipelines.adapters.history.tables import audit, audit_head, audit_texts, releases
from release_pipelines.core.audit.row import FIRST, Phase, Row, Text
from release_pipelines.core.audit.verifying import (
    CONTINUES_FROM,
    ERASED,
    ERASURE,
    HEAD_MISSING,
    REMOVED,
    RETENTION,
    UP_TO,
    Head,
    written,
)
from release_pipelines.core.text import clean

NAME_LIMIT = 64
RELEASE_LIMIT = 600
DAY_SECONDS = 86400
HEAD_IS_MISSING = (
    "The head of the audit trail is missing from the database: `release audit --verify` tells what else is wrong; "
    "the next row that is written makes it anew, and says so."
)
HIGHEST = 2**62
"""No number of a row, and no count, is ever so high."""


@dataclass(frozen=True)
class End:
    """What the next row follows."""

    hash: str
    number: int
    count: int


class Audit(Reports):
    """Who did what, when and from where: written and read."""

    _late = False
    """Whether what is written happened before, when it could not be written."""

    def audit(
        self,
        action: str,
        phase: Phase,
        *,
        release: str = "",
        app: str = "",
        environment: str = "",
        texts: Mapping[str, str | None] | None = None,
        data: Mapping[str, str] | None = None,
    ) -> Head:
        """Add a row, and return the end of the trail.

        :param action: in the word that commands and buttons have for it.
        :param texts: what may name a person: ``actor``, ``reason``, ``address`` (from where), ``about``; those without a value are left out.
        :param data: what else is to be known, like a step or a digest.
        """
        with self._write() as connection:
            return self._audit(
                connection, action, phase, release=release, app=app, environment=environment, texts=texts, data=data
            )

    def _audit(
        self,
        connection: Connection,
        action: str,
        phase: Phase,
        *,
        release: str = "",
        app: str = "",
        environment: str = "",
        texts: Mapping[str, str | None] | None = None,
        data: Mapping[str, str] | None = None,
    ) -> Head:
        """The same in a transaction that writes what the row tells of: there are both, or none."""
        if release and not app:
            app = connection.scalar(select(releases.c.app).where(releases.c.id == release)) or ""
        row = Row(
            number=0,
            at=round(self._now() * 1_000_000),
            action=clean(action, NAME_LIMIT),
            phase="late" if self._late else phase,
            release=clean(release, RELEASE_LIMIT),
            app=clean(app, NAME_LIMIT),
            environment=clean(environment, NAME_LIMIT),
            texts={name: Text.of(safe(text)) for name, text in (texts or {}).items() if text},
            data={name: safe(value) for name, value in (data or {}).items()},
        )
        return self._chained(connection, row, self._end(connection))

    @staticmethod
    def _chained(connection: Connection, row: Row, end: End) -> Head:
        row = replace(row, number=end.number + 1).after(end.hash)
        connection.execute(insert(audit).values(**_columns(row)))
        kept = [
            {"number": row.number, "name": name, "value": it.value, "salt": it.salt} for name, it in row.texts.items()
        ]
        if kept:
            connection.execute(insert(audit_texts), kept)
        values = {"hash": row.hash, "number": row.number, "count": end.count + 1}
        connection.execute(update(audit_head).where(audit_head.c.id == 1).values(**values))
        return Head(row.hash, end.count + 1)

    def _end(self, connection: Connection) -> End:
        """The end that the next row follows; who asks has the lock on it.

        Nothing that is wrong with the head may keep people from what they do: where no row can follow it, it is made anew, and a
        row says so. Where one can, it stays as it is, and what does not fit shows as a break behind it.
        """
        found = select(audit_head).where(audit_head.c.id == 1).with_for_update()
        head = connection.execute(found).first()
        if head is not None and _follows(connection, head):
            return End(head.hash, head.number, head._mapping["count"])
        if head is None:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            made = {"id": 1, "hash": FIRST, "number": 0, "count": 0}
            added = connection.execute(dialect.insert(audit_head).values(**made).on_conflict_do_nothing())
            head = connection.execute(found).one()
            if not added.rowcount and _follows(connection, head):  # somebody else was faster
                return End(head.hash, head.number, head._mapping["count"])
        rows = [row_of(it, {}) for it in connection.execute(select(audit).order_by(audit.c.number))]
        followed = {row.previous for row in rows}
        last = next((row.hash for row in reversed(rows) if row.hash not in followed), FIRST)
        number = max((row.number for row in rows if row.number < HIGHEST), default=0)
        told = Row(0, round(self._now() * 1_000_000), HEAD_MISSING, "done")
        made_anew = self._chained(connection, told, End(last, number, written(rows, last)[0]))
        return End(made_anew.hash, number + 1, made_anew.count)

    def audit_rows(
        self,
        *,
        app: str | None = None,
        release: str | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> list[Row]:
        """Rows in their order.

        :param since: from this Unix time in seconds on.
        :param until: before this one.
        """
        query = select(audit).order_by(audit.c.number)
        if app is not None:
            query = query.where(audit.c.app == app)
        if release is not None:
            query = query.where(audit.c.release == release)
        if since is not None:
            query = query.where(audit.c.at >= since * 1_000_000)
        if until is not None:
            query = query.where(audit.c.at < until * 1_000_000)
        wanted = query.with_only_columns(audit.c.number).order_by(None)
        with self._read() as connection:
            found = connection.execute(query).all()
            texts: dict[int, dict[str, Any]] = {}
            for it in connection.execute(select(audit_texts).where(audit_texts.c.number.in_(wanted))):
                texts.setdefault(it.number, {})[it.name] = it
        return [row_of(it, texts.get(it.number, {})) for it in found]

    def audit_head(self) -> Head | None:
        """The end of the trail as the database has it: to be kept elsewhere. None: somebody has removed it."""
        with self._read() as connection:
            return self._head(connection)

    @staticmethod
    def _head(connection: Connection) -> Head | None:
        head = connection.execute(select(audit_head).where(audit_head.c.id == 1)).first()
        if head is None:
            return None
        count = head._mapping["count"]
        return Head(str(head.hash), count if type(count) is int else -1, "the database", last=True)

    def audit_trail(self) -> tuple[list[Row], Head | None]:
        """All rows, and the head that they had at that moment."""
        head = self.audit_head()
        while True:
            rows, before, head = self.audit_rows(), head, self.audit_head()
            if before == head:
                return rows, head

    def audit_apps(self) -> list[str]:
        """The apps that rows are about, by name: also those whose releases are gone."""
        with self._read() as connection:
            return sorted(it for it in connection.scalars(select(audit.c.app).distinct()) if isinstance(it, str) and it)

    def audit_prune(self, older_than_days: float, by: str) -> int:
        """Remove old rows, and add one that says so, from where the trail goes on.

        :param by: who asked for it.
        :return: how many were removed.
        :raises ValueError: where the head is missing.
        """
        before = round((self._now() - older_than_days * DAY_SECONDS) * 1_000_000)
        with self._write() as connection:
            self._locked(connection)
            young = select(audit.c.number).where(audit.c.at >= before).order_by(audit.c.number).limit(1)
            first = connection.scalar(young)
            old = select(audit).order_by(audit.c.number.desc())
            last = connection.execute(old if first is None else old.where(audit.c.number < first)).first()
            if last is None:
                return 0
            rule = f"a retention of {older_than_days:g} days"
            rows = [row_of(it, {}) for it in connection.execute(select(audit).order_by(audit.c.number))]
            gone = written(rows, str(last.hash))[0]
            data = {"rule": rule, UP_TO: str(last.number), REMOVED: str(gone), CONTINUES_FROM: str(last.hash)}
            self._audit(connection, RETENTION, "done", texts={"actor": by}, data=data)
            connection.execute(delete(audit_texts).where(audit_texts.c.number <= last.number))
            return int(connection.execute(delete(audit).where(audit.c.number <= last.number)).rowcount)

    @staticmethod
    def _locked(connection: Connection) -> None:
        """Wait for one's turn to remove something; not where the head is missing, because that would remove traces, too."""
        if connection.execute(select(audit_head).where(audit_head.c.id == 1).with_for_update()).first() is None:
            raise ValueError(HEAD_IS_MISSING)

    def _forget(self, connection: Connection, wanted: Sequence[re.Pattern[str]], by: str, remarks: int) -> int:
        """Remove every text that fits one of these; in how many rows. Who asks has the lock.

        :param by: who asked for it.
        :param remarks: in how many remarks something was forgotten with it.
        """
        texts = connection.execute(select(audit_texts)).all()
        gone = [it for it in texts if any(name.search(str(it.value)) for name in wanted)]
        for it in gone:
            connection.execute(
                delete(audit_texts).where(audit_texts.c.number == it.number, audit_texts.c.name == it.name)
            )
        numbers = sorted({it.number for it in gone})
        if numbers or remarks:
            by = "" if any(name.search(by) for name in wanted) else by
            data = {ERASED: " ".join(map(str, numbers)), **({"remarks": str(remarks)} if remarks else {})}
            self._audit(connection, ERASURE, "done", texts={"actor": by}, data=data)
        return len(numbers)


def _follows(connection: Connection, head: Any) -> bool:
    """Whether a row can follow the head: no other one does, none has its number, and it is a head at all."""
    count = head._mapping["count"]
    if not isinstance(head.hash, str) or not all(type(it) is int and 0 <= it < HIGHEST for it in (head.number, count)):
        return False
    behind = audit.c.number.between(head.number + 1, HIGHEST - 1)
    return (
        connection.execute(select(audit.c.number).where(or_(behind, audit.c.previous == head.hash)).limit(1)).first()
        is None
    )


def _columns(row: Row) -> dict[str, Any]:
    names = ("number", "at", "action", "phase", "release", "app", "environment", "previous", "hash")
    return {
        **{name: getattr(row, name) for name in names},
        "seals": {name: text.seal for name, text in row.texts.items()},
        "data": dict(row.data),
    }


def row_of(found: Any, texts: Mapping[str, Any]) -> Row:
    """A row as the database has it.

    :param texts: what of it can be forgotten, by name.
    """
    kept = None
    if isinstance(found.seals, dict) and all(isinstance(it, str) for it in found.seals.values()):
        kept = {
            name: Text.found(seal, texts[name].value, texts[name].salt) if name in texts else Text(seal)
            for name, seal in found.seals.items()
        }
    names = ("number", "at", "action", "phase", "release", "app", "environment", "previous", "hash")
    return Row.found(**{name: getattr(found, name) for name in names}, texts=kept, data=found.data)
