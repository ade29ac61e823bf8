"""What is kept with a release as a text of its own: its report and its plots, and while it runs how far it has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, and_, delete, insert, or_, select

from release_pipelines.adapters.history.errors import UnknownRelease
from release_pipelines.adapters.history.questions import Questions
from release_pipelines.adapters.history.tables import releases, reports
from release_pipelines.core.model.progress import PROGRESS
from release_pipelines.core.model.records import COMMITS, STAGES, Attachment, Release

if TYPE_CHECKING:
    from release_pipelines.core.model.progress import Progress

OF_STATUS = (PROGRESS, STAGES)
"""What is kept for whoever shows a release, and is no document for people."""
MANY_LIVES = 50


class Reports(Questions):
    """Texts of releases, written and read."""

    def __init__(self, engine: Engine, now: Callable[[], float] = time.time) -> None:
        super().__init__(engine)
        self._now = now

    def _write(self) -> AbstractContextManager[Connection]:
        return self._read(writes=True)

    @staticmethod
    def _known(connection: Connection, release_id: str) -> None:
        """Raise unless the release has begun; lock its row until the transaction ends."""
        query = select(releases.c.id).where(releases.c.id == release_id).with_for_update()
        if connection.execute(query).first() is None:
            raise UnknownRelease(f"The history knows no release {release_id}: it has not begun.")

    def attach(self, release_id: str, name: str, media_type: str, content: str) -> None:
        """Attach a text to the release; one of the same name is replaced."""
        with self._write() as connection:
            self._known(connection, release_id)
            here = (reports.c.release_id == release_id, reports.c.name == name)
            connection.execute(delete(reports).where(*here))
            row = {"release_id": release_id, "name": name, "media_type": media_type, "content": content}
            connection.execute(insert(reports).values(at=self._now(), **row))

    def attachments(self, release_id: str) -> list[Attachment]:
        """The release's attachments, in the order of their names."""
        mine = (reports.c.release_id == release_id, reports.c.name.not_in(OF_STATUS))
        query = select(reports).where(*mine).order_by(reports.c.name)
        with self._read() as connection:
            rows = connection.execute(query).all()
        return [Attachment(name=row.name, media_type=row.media_type, at=row.at, content=row.content) for row in rows]

    def attachment(self, release_id: str, name: str) -> Attachment | None:
        """One of the release's attachments; None: it has none of this name."""
        query = select(reports).where(reports.c.release_id == release_id, reports.c.name == name)
        with self._read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return Attachment(name=row.name, media_type=row.media_type, at=row.at, content=row.content)

    def attached(self, release_id: str) -> dict[str, str]:
        """Names of the release's attachments to their media types, in the order of the names."""
        mine = (reports.c.release_id == release_id, reports.c.name != PROGRESS)
        query = select(reports.c.name, reports.c.media_type).where(*mine).order_by(reports.c.name)
        with self._read() as connection:
            return {row.name: row.media_type for row in connection.execute(query)}

    def commits_between(self, left: Release, right: Release) -> list[str]:
        """What releases of one app kept of their commits: those that held after the left one and before the right one, and the right one."""
        between = (
            releases.c.promoted_at.is_not(None),
            releases.c.started_at > left.started_at,
            releases.c.started_at < right.started_at,
        )
        query = (
            select(reports.c.content)
            .join(releases, releases.c.id == reports.c.release_id)
            .where(reports.c.name == COMMITS, releases.c.app == right.app)
            .where(or_(and_(*between), releases.c.id == right.id))
            .order_by(releases.c.started_at.desc())
        )
        with self._read() as connection:
            return list(connection.scalars(query))

    def keep_progress(self, progress: Mapping[str, Progress]) -> None:
        """Keep how far the stages of these releases have come; what was kept before is replaced. Of releases that are not known nothing is.

        :param progress: the newest look, by the release's id.
        """
        with self._write() as connection:
            known = set(connection.scalars(select(releases.c.id).where(releases.c.id.in_(progress))))
            here = (reports.c.release_id.in_(known), reports.c.name == PROGRESS)
            connection.execute(delete(reports).where(*here))
            rows = [
                {
                    "release_id": release,
                    "name": PROGRESS,
                    "media_type": "application/json",
                    "at": it.at,
                    "content": it.model_dump_json(),
                }
                for release, it in sorted(progress.items())
                if release in known
            ]
            if rows:
                connection.execute(insert(reports), rows)

    def attachment_times(self, release_id: str) -> dict[str, float]:
        """The names of the release's attachments, and when each was written: Unix times in seconds. Their contents may be large."""
        query = select(reports.c.name, reports.c.at).where(reports.c.release_id == release_id)
        with self._read() as connection:
            return {row.name: row.at for row in connection.execute(query) if row.name != PROGRESS}

    def texts(self, release_id: str, names: Collection[str]) -> dict[str, str]:
        """The contents of those of the release's attachments that have these names."""
        mine = (reports.c.release_id == release_id, reports.c.name.in_(names))
        with self._read() as connection:
            return {row.name: row.content for row in connection.execute(select(reports).where(*mine))}

    def lives(self, dag_id: str, run_id: str) -> list[str]:
        """The ids of the releases of a run, oldest first: another one each time that the run was cleared as a whole (R1)."""
        found: list[str] = []
        run, first = f"{dag_id}/{run_id}", 0
        with self._read() as connection:
            while True:  # by whole ids, which have an index in every database
                wanted = [run, *(f"{run}#{number}" for number in range(first, first + MANY_LIVES))]
                known = set(connection.scalars(select(releases.c.id).where(releases.c.id.in_(wanted))))
                found += [it for it in wanted if it in known and it not in found]
                first += MANY_LIVES
                if wanted[-1] not in known:
                    break
            if not found:  # single operators may call a release otherwise
                of_run = (releases.c.dag_id == dag_id, releases.c.run_id == run_id)
                query = select(releases.c.id).where(*of_run).order_by(releases.c.started_at, releases.c.id)
                found = list(connection.scalars(query))
        return found

    def newest_life(self, dag_id: str, run_id: str) -> str | None:
        """The id of a run's release: of its newest life, where it was cleared; None: the history knows none."""
        return next(reversed(self.lives(dag_id, run_id)), None)
