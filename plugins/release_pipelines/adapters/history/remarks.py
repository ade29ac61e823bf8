"""What people add to a release: what they expected, what happened, and notes. Never changed; who wrote one may take it back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, get_args

from sqlalchemy import Connection, delete, insert, select, update

from release_pipelines.adapters.history.audit import Audit
from release_pipelines.adapters.history.column_types import as_kept
from release_pipelines.adapters.history.queries import said_of
from release_pipelines.adapters.history.tables import releases, remarks
from release_pipelines.core.audit.export import FORGOTTEN
from release_pipelines.core.model.records import About, Remark
from release_pipelines.core.text import clean

LONGEST = 4000
"""Maximum length of a remark, in characters."""
REMARK, TAKEN_BACK = "remark", "remark_taken_back"
"""Actions in the audit trail."""


class Forgotten(NamedTuple):
    """Where a person was forgotten."""

    rows: int
    """Rows of the audit trail."""
    remarks: int


class Remarks(Audit):
    """Remarks of people on releases, written and forgotten."""

    def remark(self, release_id: str, about: About, text: str, by: str, address: str | None = None) -> Remark:
        """Add a remark to a release; the same one twice in a row is one.

        :param by: who writes it.
        :param address: from where.
        :raises ValueError: when it has no text, too long a text, or is about something else.
        """
        if about not in get_args(About):
            raise ValueError(f"A remark is about one of {', '.join(get_args(About))}, found `{about}`.")
        said = clean(text, len(text) + LONGEST).strip()
        if not said:
            raise ValueError("A remark needs a text: a few words are expected.")
        if len(said) > LONGEST:
            raise ValueError(f"A remark has at most {LONGEST} characters, found {len(said)}.")
        values = {"by": as_kept(remarks.c.by, clean(by, 255)), "about": about, "text": said}
        newest = select(remarks).where(remarks.c.release_id == release_id).order_by(remarks.c.id.desc()).limit(1)
        with self._write() as connection:
            self._known(connection, release_id)
            row = connection.execute(newest).first()
            if row is None or any(row._mapping[name] != value for name, value in values.items()):
                connection.execute(insert(remarks).values(release_id=release_id, at=self._now(), **values))
                row = connection.execute(newest).one()
                self._noted(connection, REMARK, row, by, address)
        return _remark(row)

    def take_back(self, release_id: str, remark_id: int, by: str, address: str | None = None) -> bool:
        """Take a remark back; the audit trail keeps that it was there, and not what it said.

        :param by: who wrote it: nobody else may.
        :return: False: this release has no such remark of this person.
        """
        mine = (remarks.c.release_id == release_id, remarks.c.id == remark_id, remarks.c.by == clean(by, 255))
        with self._write() as connection:
            row = connection.execute(select(remarks).where(*mine)).first()
            if row is None:
                return False
            connection.execute(delete(remarks).where(*mine))
            self._noted(connection, TAKEN_BACK, row, by, address)
        return True

    def _noted(self, connection: Connection, action: str, row: Any, by: str, address: str | None) -> None:
        data = {"about": row.about, "remark": str(row.id)}
        texts = {"actor": by, "address": address}
        self._audit(connection, action, "done", release=row.release_id, texts=texts, data=data)

    def remarks(self, release_id: str) -> list[Remark]:
        """A release's remarks, oldest first."""
        with self._read() as connection:
            return [_remark(it) for it in connection.execute(said_of(release_id))]

    def durations_before(self, app: str, moment: float, limit: int = 5) -> list[float]:
        """How long the app's last good releases took that had ended by a moment, in seconds; newest first."""
        good = (releases.c.app == app, releases.c.outcome == "released", releases.c.ended_at < moment)
        query = select(releases.c.ended_at - releases.c.started_at).where(*good).order_by(releases.c.ended_at.desc())
        with self._read() as connection:
            return list(connection.scalars(query.limit(limit)))

    def forget(self, names: Iterable[str], by: str) -> Forgotten:
        """Forget a person: every text of the audit trail, and of a remark, that has one of the names goes; the trail stays whole, and says that it was done.

        :param names: the person's name, id, e-mail: whatever stands in the trail.
        :param by: who asked for it.
        :raises ValueError: where the trail's head is missing.
        """
        wanted = [re.compile(rf"(?<!\w){re.escape(name.strip())}(?!\w)", re.I) for name in names if name.strip()]
        with self._write() as connection:
            self._locked(connection)
            gone = _forgotten(connection, wanted)
            return Forgotten(self._forget(connection, wanted, by, gone), gone)

    def audit_forget(self, names: Iterable[str], by: str) -> int:
        """The same, and in how many rows of the trail something was forgotten."""
        return self.forget(names, by).rows


def _forgotten(connection: Connection, wanted: Sequence[re.Pattern[str]]) -> int:
    """Forget people in remarks; in how many."""
    count = 0
    for row in connection.execute(select(remarks)).all():
        texts = {"by": row.by, "text": row.text}
        news = {name: FORGOTTEN for name, text in texts.items() if any(it.search(text) for it in wanted)}
        if news:
            connection.execute(update(remarks).where(remarks.c.id == row.id).values(**news))
            count += 1
    return count


def _remark(row: Any) -> Remark:
    return Remark(id=row.id, at=row.at, by=row.by, about=row.about, text=row.text)
