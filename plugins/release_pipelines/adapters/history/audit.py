"""The audit trail in the database: rows are added under one lock, so that no two follow the same row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from release_pipelines.adapters.history.reports import Reports
from release_pipelines.adapters.history.tables import audit, audit_head, audit_texts, releases, safe
from release_pipelines.core.audit.row import Phase, Row, Text
from release_pipelines.core.audit.verifying import CONTINUES_FROM, ERASED, ERASURE, RETENTION, Head
from release_pipelines.core.text import clean

NAME_LIMIT = 64
RELEASE_LIMIT = 600
DAY_SECONDS = 86400


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
        head = connection.execute(select(audit_head).where(audit_head.c.id == 1).with_for_update()).one()
        row = Row(
            number=head.number + 1,
            at=round(self._now() * 1_000_000),
            action=clean(action, NAME_LIMIT),
            phase="late" if self._late else phase,
            release=clean(release, RELEASE_LIMIT),
            app=clean(app, NAME_LIMIT),
            environment=clean(environment, NAME_LIMIT),
            texts={name: Text.of(safe(text)) for name, text in (texts or {}).items() if text},
            data={name: safe(value) for name, value in (data or {}).items()},
        ).after(head.hash)
        connection.execute(insert(audit).values(**_columns(row)))
        kept = [
            {"number": row.number, "name": name, "value": it.value, "salt": it.salt} for name, it in row.texts.items()
        ]
        if kept:
            connection.execute(insert(audit_texts), kept)
        end = {"hash": row.hash, "number": row.number, "count": head._mapping["count"] + 1}
        connection.execute(update(audit_head).where(audit_head.c.id == 1).values(**end))
        return Head(row.hash, head._mapping["count"] + 1)

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
        return [_row(it, texts.get(it.number, {})) for it in found]

    def audit_head(self) -> Head:
        """The end of the trail as the database has it: to be kept elsewhere."""
        with self._read() as connection:
            head = connection.execute(select(audit_head).where(audit_head.c.id == 1)).one()
        return Head(head.hash, head._mapping["count"], "the database")

    def audit_prune(self, older_than_days: float, by: str) -> int:
        """Remove old rows, and add one that says so, from where the trail goes on.

        :param by: who asked for it.
        :return: how many were removed.
        """
        before = round((self._now() - older_than_days * DAY_SECONDS) * 1_000_000)
        with self._write() as connection:
            connection.execute(select(audit_head).where(audit_head.c.id == 1).with_for_update()).one()
            young = select(audit.c.number).where(audit.c.at >= before).order_by(audit.c.number).limit(1)
            first = connection.scalar(young)
            old = select(audit).order_by(audit.c.number.desc())
            last = connection.execute(old if first is None else old.where(audit.c.number < first)).first()
            if last is None:
                return 0
            rule = f"a retention of {older_than_days:g} days"
            data = {"rule": rule, "up_to": str(last.number), CONTINUES_FROM: last.hash}
            self._audit(connection, RETENTION, "done", texts={"actor": by}, data=data)
            connection.execute(delete(audit_texts).where(audit_texts.c.number <= last.number))
            return int(connection.execute(delete(audit).where(audit.c.number <= last.number)).rowcount)

    def audit_forget(self, names: Iterable[str], by: str) -> int:
        """Forget a person: every text that has one of the names goes; the trail stays whole, and says that it was done.

        :param names: the person's name, id, e-mail: whatever stands in the trail.
        :param by: who asked for it.
        :return: in how many rows something was forgotten.
        """
        wanted = [re.compile(rf"(?<!\w){re.escape(name.strip())}(?!\w)", re.I) for name in names if name.strip()]
        with self._write() as connection:
            connection.execute(select(audit_head).where(audit_head.c.id == 1).with_for_update()).one()
            texts = connection.execute(select(audit_texts)).all()
            gone = [it for it in texts if any(name.search(it.value) for name in wanted)]
            for it in gone:
                connection.execute(
                    delete(audit_texts).where(audit_texts.c.number == it.number, audit_texts.c.name == it.name)
                )
            numbers = sorted({it.number for it in gone})
            if numbers:
                by = "" if any(name.search(by) for name in wanted) else by
                data = {ERASED: " ".join(map(str, numbers))}
                self._audit(connection, ERASURE, "done", texts={"actor": by}, data=data)
        return len(numbers)


def _columns(row: Row) -> dict[str, Any]:
    names = ("number", "at", "action", "phase", "release", "app", "environment", "previous", "hash")
    return {
        **{name: getattr(row, name) for name in names},
        "seals": {name: text.seal for name, text in row.texts.items()},
        "data": dict(row.data),
    }


def _row(found: Any, texts: Mapping[str, Any]) -> Row:
    kept = {
        name: Text(seal, texts[name].value, texts[name].salt) if name in texts else Text(seal)
        for name, seal in found.seals.items()
    }
    names = ("number", "at", "action", "phase", "release", "app", "environment", "previous", "hash")
    return Row(**{name: getattr(found, name) for name in names}, texts=kept, data=found.data)
