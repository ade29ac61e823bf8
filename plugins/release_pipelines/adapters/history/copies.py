"""Calendars that are kept elsewhere: the last good copy of each, for all processes of an Airflow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from release_pipelines.adapters.history.reports import Reports
from release_pipelines.adapters.history.tables import calendar_copies
from release_pipelines.core.model.calendar_copy import CalendarCopy


class Copies(Reports):
    """Copies of calendars, written by the task that fetches them and read by whoever asks a calendar."""

    def calendar_copies(self, known: Mapping[str, CalendarCopy] | None = None) -> dict[str, CalendarCopy]:
        """All copies by their calendar's name.

        :param known: what was read before: texts that have not changed since are not read again.
        """
        before = known or {}
        facts = [it for it in calendar_copies.c if it.name != "content"]
        with self._read() as connection:
            rows = [dict(row._mapping) for row in connection.execute(select(*facts))]
            new = [it["name"] for it in rows if it["name"] not in before or before[it["name"]].digest != it["digest"]]
            texts = select(calendar_copies.c.name, calendar_copies.c.content).where(calendar_copies.c.name.in_(new))
            contents = {row.name: row.content for row in connection.execute(texts)} if new else {}
        contents |= {name: it.content for name, it in before.items() if name not in contents}
        return {it["name"]: CalendarCopy(**it, content=contents.get(it["name"])) for it in rows}

    def keep_calendar(self, name: str, source: str, content: str, validators: str | None, remark: str | None) -> None:
        """Keep what was fetched now as the calendar's last good copy."""
        at = self._now()
        digest = hashlib.sha256(content.encode()).hexdigest()
        facts = {"source": source, "content": content, "digest": digest, "validators": validators, "remark": remark}
        self._keep(name, {**facts, "fetched_at": at, "checked_at": at})

    def calendar_is_unchanged(self, copy: CalendarCopy) -> None:
        """Keep that the source said now that a copy is still how it stands."""
        news = {"checked_at": self._now(), "failed_at": None, "mistake": None}
        self._keep(copy.name, {**copy.model_dump(exclude={"name"}), **news})

    def calendar_not_fetched(self, name: str, source: str, copy: CalendarCopy | None, mistake: str) -> None:
        """Keep that a look got nothing; the copy stays, and so does the time of the first of several such looks.

        :param copy: the last good one; None: there is none of this source.
        """
        known = copy.model_dump(exclude={"name"}) if copy else {"source": source}
        failed_at = copy.failed_at if copy and copy.failed_at is not None else self._now()
        self._keep(name, {**known, "failed_at": failed_at, "mistake": mistake})

    def _keep(self, name: str, row: dict[str, Any]) -> None:
        columns = {it.name for it in calendar_copies.c}
        with self._write() as connection:
            connection.execute(delete(calendar_copies).where(calendar_copies.c.name == name))
            connection.execute(
                insert(calendar_copies).values(name=name, **{key: it for key, it in row.items() if key in columns})
            )
