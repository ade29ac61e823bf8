"""Reading the history. Every method is one short transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, ScalarSelect, Table, exists, func, select

from release_pipelines.adapters.history.blame import stability_of
from release_pipelines.adapters.history.errors import UnknownRelease, reachable
from release_pipelines.adapters.history.queries import (
    ASKED,
    ATTESTED,
    EVIDENCE,
    artifact_in,
    fields,
    given,
    listed,
    newest_good_of,
    reached,
    release_in,
    releases_of,
    said_of,
    stories,
)
from release_pipelines.adapters.history.tables import (
    approvals,
    commands,
    events,
    measurements,
    releases,
    reports,
    verdicts,
)
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.progress import PROGRESS, Progress
from release_pipelines.core.model.records import Approval, Evidence, Release, ReleaseDetail, Stability
from release_pipelines.core.model.release_id import ROLLBACK_DAG


def _deployed_at(which: Any, environment: str) -> ScalarSelect[Any]:
    """When a release was deployed in an environment: the first or the last time.

    :param which: ``func.min`` or ``func.max``.
    """
    of_release = (
        events.c.release_id == releases.c.id,
        events.c.kind == "deployed",
        events.c.environment == environment,
    )
    return select(which(events.c.at)).where(*of_release).scalar_subquery()


class Questions:
    """Reads from the database of all releases."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def _read(self, *, writes: bool = False, snapshot: bool = False) -> Iterator[Connection]:
        """A transaction.

        :param snapshot: all of its reads see one moment; SQLite's always do.
        """
        options: dict[str, Any] = {"writes": writes}
        if snapshot and self._engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
        with reachable(self._engine), self._engine.execution_options(**options).begin() as connection:
            yield connection

    def artifact_of(self, app: str, version: str) -> Artifact | None:
        """The artifact with which a version reached an environment: it is released again without a build (R1)."""
        query = releases_of(app, releases.c.version == version, releases.c.digest.is_not(None), reached())
        with self._read() as connection:
            return artifact_in(connection.execute(query.limit(1)).first())

    def apps(self) -> list[str]:
        """The apps that have releases, by name."""
        with self._read() as connection:
            return sorted(connection.scalars(select(releases.c.app).distinct()))

    def versions_of(self, app: str, digest: str) -> set[str]:
        """The versions as which a digest was promoted."""
        query = releases_of(app, releases.c.digest == digest, releases.c.promoted_at.is_not(None))
        with self._read() as connection:
            return {row.version for row in connection.execute(query)}

    def past_of(self, app: str, digest: str, besides: str) -> list[Release]:
        """The releases of a digest that have ended, newest first.

        :param besides: the id of the release that is left out.
        """
        same = (releases.c.digest == digest, releases.c.outcome.is_not(None), releases.c.id != besides)
        query = listed().where(releases.c.app == app, *same).order_by(releases.c.started_at.desc())
        with self._read() as connection:
            return [Release.model_validate(release_in(row)) for row in connection.execute(query)]

    def evidence_of(self, app: str, digest: str, besides: str) -> dict[str, Evidence]:
        """What checks found about a digest in other releases of it: the newest result by the check's name.

        :param besides: the id of the release that is left out.
        """
        query = (
            select(events.c.release_id, events.c.at, events.c.data)
            .join(releases, releases.c.id == events.c.release_id)
            .where(releases.c.app == app, events.c.kind == EVIDENCE, releases.c.id != besides)
            .order_by(events.c.at)
        )
        found: dict[str, Evidence] = {}
        with self._read() as connection:
            for row in connection.execute(query):
                if row.data and row.data.get("digest") == digest:
                    for name, result in row.data.get("results", {}).items():
                        found[name] = Evidence(result=result, at=row.at, release=row.release_id)
        return found

    def known_since(self, app: str, digest: str) -> float | None:
        """When a digest was first promoted, or attested by a key that was trusted then; None: never."""
        promoted = select(func.min(releases.c.promoted_at)).where(releases.c.app == app, releases.c.digest == digest)
        attested = (
            select(events.c.at, events.c.data)
            .join(releases, releases.c.id == events.c.release_id)
            .where(releases.c.app == app, events.c.kind == ATTESTED)
        )
        with self._read() as connection:
            moments = [row.at for row in connection.execute(attested) if (row.data or {}).get("digest") == digest]
            first = connection.scalar(promoted)
        return min([*moments, *([first] if first is not None else [])], default=None)

    def waits_for_approval(self, release_id: str) -> bool:
        """Whether a release's approval is asked for, and nobody has answered yet."""
        asked = exists().where(events.c.release_id == release_id, events.c.kind == ASKED)
        answered = exists().where(approvals.c.release_id == release_id)
        with self._read() as connection:
            return bool(connection.scalar(select(asked & ~answered)))

    def approval(self, release_id: str) -> Approval | None:
        """The latest answer to a release's approval; None where there is none."""
        query = select(approvals).where(approvals.c.release_id == release_id).order_by(approvals.c.id.desc()).limit(1)
        with self._read() as connection:
            row = connection.execute(query).first()
        return Approval.model_validate(fields(row)) if row else None

    def last_good(self, app: str, environment: str | None = None, *, excluding: str | None = None) -> Artifact | None:
        """Newest artifact that was promoted and held, and did not go wrong in a later release (R8).

        :param environment: only what went wrong here counts; None: what went wrong anywhere.
        :param excluding: a digest that it must not be, like that of the release that is being rolled back.
        """
        with self._read() as connection:
            return artifact_in(newest_good_of(connection, app, environment, excluding))

    def good_version(self, app: str, environment: str, version: str) -> Artifact:
        """The artifact of a version that a rollback may go back to.

        :raises UnknownRelease: one sentence: the version was never released, never held, or went wrong since.
        """
        for it in self.stability(app, environment):
            if it.version != version:
                continue
            artifact = self.artifact_of(app, version)
            if it.good and artifact:
                return artifact
            raise UnknownRelease(f"{app} {version} is nothing to go back to: {it.why}")
        raise UnknownRelease(f"The history knows no release of {app} {version}.")

    def stability(self, app: str, environment: str | None = None) -> list[Stability]:
        """Every version with what became of its releases, newest first (R8).

        :param environment: only what went wrong here counts; None: what went wrong anywhere.
        """
        with self._read() as connection:
            rows = connection.execute(releases_of(app, releases.c.digest.is_not(None))).all()
            return stability_of(rows, stories(connection, app), environment)

    def running(self, app: str, environment: str) -> list[Release]:
        """The app's releases that have not ended, without manual rollbacks; first the one that a command without an id is for.

        That is the one that was deployed last in ``environment``; where none was deployed yet, the newest.
        """
        deployed = _deployed_at(func.max, environment)
        query = listed().where(releases.c.app == app, releases.c.outcome.is_(None), releases.c.dag_id != ROLLBACK_DAG)
        with self._read() as connection:
            rows = connection.execute(query.order_by(deployed.desc().nulls_last(), releases.c.started_at.desc()))
            return [Release.model_validate(release_in(row)) for row in rows]

    def durations(self, app: str, environment: str, limit: int = 5) -> list[float]:
        """How long the app's last good releases took in an environment, in seconds: from the first change there to their end; newest first."""
        deployed = _deployed_at(func.min, environment)
        good = (releases.c.app == app, releases.c.outcome == "released", releases.c.ended_at.is_not(None))
        query = select(releases.c.ended_at - deployed).where(*good, deployed.is_not(None))
        with self._read() as connection:
            return list(connection.scalars(query.order_by(releases.c.ended_at.desc()).limit(limit)))

    def releases(self, app: str | None = None, limit: int = 50) -> list[Release]:
        """Releases, newest first."""
        query = listed().order_by(releases.c.started_at.desc()).limit(limit)
        if app is not None:
            query = query.where(releases.c.app == app)
        with self._read() as connection:
            return [Release.model_validate(release_in(row)) for row in connection.execute(query)]

    def release(self, release_id: str) -> ReleaseDetail:
        """One release with events, verdicts, measurements and approvals, oldest first."""
        with self._read() as connection:
            return self._detail(connection, release_id)

    @staticmethod
    def _detail(connection: Connection, release_id: str, *, measured: bool = True) -> ReleaseDetail:
        """The same in a transaction.

        :param measured: whether its measurements are wanted, which may be many.
        """
        row = connection.execute(listed().where(releases.c.id == release_id)).first()
        if row is None:
            raise UnknownRelease(f"The history knows no release {release_id}.")

        def of(table: Table, *order: str) -> list[dict[str, Any]]:
            query = select(table).where(table.c.release_id == release_id)
            return [fields(it) for it in connection.execute(query.order_by(*(table.c[name] for name in order)))]

        parts = {
            "events": of(events, "id"),
            "verdicts": of(verdicts, "decided_at"),
            "measurements": of(measurements, "at", "metric") if measured else [],
            "approvals": of(approvals, "id"),
        }
        query = given().where(commands.c.release_id == release_id)
        parts["commands"] = [dict(it._mapping) for it in connection.execute(query)]
        parts["remarks"] = [dict(it._mapping) for it in connection.execute(said_of(release_id))]
        kept = select(reports.c.content).where(reports.c.release_id == release_id, reports.c.name == PROGRESS)
        progress = connection.scalar(kept) if row.outcome is None else None
        for name in ("events", "verdicts", "measurements"):
            for it in parts[name]:
                del it["release_id"]
        told = Progress.model_validate_json(progress) if progress else None
        return ReleaseDetail.model_validate({**release_in(row), **parts, "progress": told})

    def version_before(self, release: Release) -> Release | None:
        """The release whose version served before another one; where none had held before, the one before it; None: it is the first."""
        earlier = (
            releases.c.app == release.app,
            releases.c.started_at < release.started_at,
            releases.c.dag_id != ROLLBACK_DAG,
        )
        held = releases.c.promoted_at.is_not(None)
        query = listed().where(*earlier).order_by(held.desc(), releases.c.started_at.desc()).limit(1)
        with self._read() as connection:
            row = connection.execute(query).first()
        return Release.model_validate(release_in(row)) if row else None

    def find(self, text: str, version: str | None = None) -> ReleaseDetail:
        """The release with this id, the newest one of this app or of this version, or the only one whose id, or whose run's id, begins so.

        :param version: only a release of this version.
        """
        return self.release(self.id_of(text, version))

    def id_of(self, text: str, version: str | None = None) -> str:
        """The id of the release that :meth:`find` finds."""
        newest = select(releases.c.id).order_by(releases.c.started_at.desc())
        if version is not None:
            newest = newest.where(releases.c.version == version)
        ways = (
            newest.where(releases.c.id == text),
            newest.where(releases.c.app == text).limit(1),
            newest.where(releases.c.version == text, self._of_one_app(text)).limit(1),
            newest.where(releases.c.id.startswith(text, autoescape=True)).limit(2),
            newest.where(releases.c.run_id.startswith(text, autoescape=True)).limit(2),
        )
        with self._read() as connection:
            ids = next((found for way in ways if (found := connection.scalars(way).all())), [])
            apps = connection.scalars(select(releases.c.app).where(releases.c.version == text).distinct()).all()
        if len(ids) > 1:
            raise UnknownRelease(f"Several releases begin with {text}, like {ids[0]} and {ids[1]}: say more of the id.")
        if ids:
            return str(ids[0])
        if len(apps) > 1:
            raise UnknownRelease(f"Several apps have a version {text}: say one of {', '.join(sorted(apps))} before it.")
        of = f" of version {version}" if version is not None else ""
        meant = "".join(f" Did you mean {it}?" for it in get_close_matches(text, self.apps(), n=1) if it != text)
        raise UnknownRelease(f"The history knows no release and no app {text}{of}.{meant}")

    @staticmethod
    def _of_one_app(version: str) -> ColumnElement[bool]:
        """Whether the version is one of a single app."""
        apps = select(func.count(releases.c.app.distinct())).where(releases.c.version == version).scalar_subquery()
        return apps == 1
