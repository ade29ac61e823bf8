"""Writing the history. Every method is one short transaction and may be called twice."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any, get_args

from sqlalchemy import ColumnElement, Connection, Table, delete, false, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from release_pipelines.adapters.history.attempts import Attempts
from release_pipelines.adapters.history.blame import Story, marks_of
from release_pipelines.adapters.history.column_types import as_kept
from release_pipelines.adapters.history.copies import Copies
from release_pipelines.adapters.history.errors import UnknownRelease, VersionTaken
from release_pipelines.adapters.history.overview import Overview
from release_pipelines.adapters.history.plans import Plans
from release_pipelines.adapters.history.pulse import Pulses
from release_pipelines.adapters.history.pushes import Pushes
from release_pipelines.adapters.history.queries import (
    direction_of,
    given,
    newest_good_of,
    reached,
    releases_of,
    stories,
    worth_keeping,
)
from release_pipelines.adapters.history.remarks import Remarks
from release_pipelines.adapters.history.steering import Steering
from release_pipelines.adapters.history.tables import (
    SCHEMA_VERSION,
    approvals,
    commands,
    events,
    marks,
    measurements,
    releases,
    verdicts,
)
from release_pipelines.adapters.history.trail import Trail
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.command import Command, CommandKind
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.outcome import OfTrains, Outcome, TrainOutcome
from release_pipelines.core.model.records import Decision, Mark
from release_pipelines.core.model.release_id import ROLLBACK_DAG
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.steering import Order

WORD_OF: dict[Decision, str] = {"approved": "approve", "rejected": "reject", "expired": "expired"}
"""What the audit trail calls an answer: as buttons and commands do."""
ANSWER_LOOK_SECONDS = 0.2
"""Pause between two looks for a command's answer, in seconds."""


class History(Overview, Plans, Pushes, Copies, Steering, Remarks, Trail, Attempts, Pulses):
    """All releases of all apps. Made by :func:`release_pipelines.adapters.history.open_history`.

    Methods that name a release raise :class:`UnknownRelease` when it has not begun.
    """

    def at(self, moment: float) -> History:
        """The same history for what happened at Unix time ``moment``, and is written only now."""
        then = History(self._engine, lambda: moment)
        then._late = True
        return then

    # --- a release's life ---------------------------------------------------------------------------------------

    def begin(
        self,
        release_id: str,
        app: str,
        dag_id: str,
        run_id: str,
        version: str,
        requester: str | None,
        reason: str | None = None,
        notes: str | None = None,
    ) -> None:
        """Add a release; a second call for the same id changes nothing.

        :param reason: why the release is urgent; None where it is not.
        :param notes: the requester's notes for people.
        """
        with self._write() as connection:
            known = connection.scalar(select(releases.c.id).where(releases.c.id == release_id))
            self._add(
                connection,
                releases,
                [
                    {
                        "id": release_id,
                        "app": app,
                        "dag_id": dag_id,
                        "run_id": run_id,
                        "version": version,
                        "requester": requester,
                        "reason": reason,
                        "notes": notes,
                        "started_at": self._now(),
                        "schema_version": SCHEMA_VERSION,
                    }
                ],
            )
            if known is None:
                action = "roll_back" if dag_id == ROLLBACK_DAG else "release"
                told = {"actor": requester, "reason": reason, "about": notes}
                self._audit(
                    connection, action, "asked", release=release_id, app=app, texts=told, data={"version": version}
                )

    def record_artifact(self, release_id: str, artifact: Artifact) -> None:
        """Bind the release to one digest.

        :raises VersionTaken: when the version reached an environment under another digest before.
        """
        with self._write() as connection:
            other = connection.execute(
                releases_of(artifact.app, releases.c.version == artifact.version, reached())
                .where(releases.c.digest != artifact.digest, releases.c.id != release_id)
                .limit(1)
            ).first()
            if other:
                raise VersionTaken(
                    f"{artifact.app} {artifact.version} has been deployed as {other.digest} (release {other.id}), and "
                    f"the image is {artifact.digest} now. A version keeps its image: give the new one a version of its own."
                )
            last = newest_good_of(connection, artifact.app)
            before = select(releases.c.id).where(
                releases.c.app == artifact.app,
                releases.c.digest == artifact.digest,
                releases.c.promoted_at.is_not(None),
            )
            self._update(
                connection,
                release_id,
                version=artifact.version,
                commit=artifact.commit,
                digest=artifact.digest,
                image=artifact.image,
                evidence=dict(artifact.evidence),
                direction=direction_of(
                    artifact.version,
                    last.version if last else None,
                    released_before=last is not None
                    and last.digest != artifact.digest
                    and connection.execute(before).first() is not None,
                ),
            )

    def record_event(
        self,
        release_id: str,
        kind: str,
        sentence: str,
        environment: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Add an event; the same one twice in a row is one event.

        :param kind: one word, like ``deployed``, ``drift`` or ``rollback``.
        :param environment: where it happened. A release with an event in an environment has reached it (R1).
        """
        row = {"kind": kind, "environment": environment, "sentence": sentence, "data": data}
        with self._write() as connection:
            self._append(connection, events, release_id, row)

    def record_verdict(self, release_id: str, environment: str, verdict: Verdict, samples: list[Sample]) -> None:
        """Add a step's verdict with its measurements; rows that exist stay as they are (R13)."""
        here = {"release_id": release_id, "environment": environment, "step": verdict.step}
        with self._write() as connection:
            self._known(connection, release_id)
            row = verdict.model_dump(mode="json", exclude={"evidence"}) | here
            self._add(connection, verdicts, [row])
            self._add(connection, measurements, [to_json(sample) | here for sample in samples])

    def record_approval(
        self, release_id: str, digest: str, decision: Decision, by: str | None, note: str | None = None
    ) -> None:
        """Add an answer to an approval, bound to a digest (R10); the same one twice in a row is one answer.

        :param by: None where nobody answered.
        :raises ValueError: when ``decision`` is no decision.
        """
        if decision not in get_args(Decision):
            raise ValueError(f"A decision is one of {', '.join(get_args(Decision))}, found {decision!r}.")
        row = {"digest": digest, "decision": decision, "by": by, "note": note}
        with self._write() as connection:
            if self._append(connection, approvals, release_id, row):
                told = {"actor": by, "reason": note}
                self._audit(
                    connection, WORD_OF[decision], "done", release=release_id, texts=told, data={"digest": digest}
                )

    def promoted(self, release_id: str) -> None:
        """Note that the release passed all stages and serves all traffic from stable."""
        with self._write() as connection:
            self._known(connection, release_id)
            connection.execute(
                update(releases)
                .where(releases.c.id == release_id, releases.c.promoted_at.is_(None))
                .values(promoted_at=self._now())
            )

    def finish(self, release_id: str, outcome: TrainOutcome, sentence: str) -> None:
        """Set the release's outcome. The first one stays, but a later rollback always replaces it.

        :raises ValueError: when ``outcome`` is no outcome.
        """
        known = (*get_args(Outcome), *get_args(OfTrains))
        if outcome not in known:
            raise ValueError(f"An outcome is one of {', '.join(known)}, found {outcome!r}.")
        now = releases.c.outcome
        overwrites: dict[str, ColumnElement[bool]] = {
            "rolled_back": now.in_(("released", "rollback_failed")),
            "rollback_failed": now != outcome,
        }
        open_to_it = or_(now.is_(None), overwrites.get(outcome, false()))
        with self._write() as connection:
            self._known(connection, release_id)
            connection.execute(
                update(releases)
                .where(releases.c.id == release_id, open_to_it)
                .values(outcome=outcome, sentence=sentence, ended_at=self._now())
            )

    # --- what speaks against a version --------------------------------------------------------------------------

    def mark(self, release_id: str, environment: str, bad: bool, sentence: str) -> None:
        """Say whether a release that went back in an environment speaks against its version there, and why.

        What a person has lifted stays lifted.
        """
        here = {"release_id": release_id, "environment": environment}
        with self._write() as connection:
            self._known(connection, release_id)
            self._add(connection, marks, [{**here, "bad": bad, "sentence": sentence, "at": self._now()}])
            same = (marks.c.release_id == release_id, marks.c.environment == environment, marks.c.lifted_at.is_(None))
            connection.execute(update(marks).where(*same).values(bad=bad, sentence=sentence))

    def lift(self, app: str, version: str, environment: str, by: str, reason: str) -> list[Mark]:
        """Lift all that speaks against a version in an environment: it was not the version's fault. The first who does so stays.

        :return: what is lifted now; empty where nothing spoke against it.
        :raises UnknownRelease: when there is no release of the version.
        """
        with self._write() as connection:
            rows = connection.execute(
                releases_of(app, releases.c.version == version, releases.c.digest.is_not(None))
            ).all()
            if not rows:
                raise UnknownRelease(f"The history knows no release of {app} {version}.")
            same = releases_of(app, releases.c.digest.in_({row.digest for row in rows}))
            known = stories(connection, app)
            found = [
                mark
                for row in connection.execute(same)
                for mark in marks_of(row, known.get(row.id, Story()), environment)
                if mark.lifted_at is None
            ]
            news = {"lifted_at": self._now(), "lifted_by": by, "lifted_because": reason}
            for it in found:
                here = {"release_id": it.release, "environment": environment}
                self._add(connection, marks, [{**here, "bad": True, "sentence": it.sentence, "at": it.at}])
                place = (marks.c.release_id == it.release, marks.c.environment == environment)
                connection.execute(update(marks).where(*place).values(**news))
                sentence = f"{by} lifted what speaks against {version} in {environment}: {reason}"
                row = {"kind": "lifted", "environment": None, "sentence": sentence, "data": {"by": by}}
                self._append(connection, events, it.release, row)
                told = {"actor": by, "reason": reason}
                self._audit(connection, "lift", "done", release=it.release, environment=environment, texts=told)
        return [it.model_copy(update={**news, "environment": environment}) for it in found]

    # --- commands -----------------------------------------------------------------------------------------------

    def commands(self, release_id: str | None = None, *, open_only: bool = False) -> list[Command]:
        """Commands, oldest first.

        :param release_id: of one release; None: of all.
        :param open_only: only those without an answer.
        """
        query = given()
        if release_id is not None:
            query = query.where(commands.c.release_id == release_id)
        if open_only:
            query = query.where(commands.c.answered_at.is_(None))
        with self._read() as connection:
            return [Command.model_validate(dict(row._mapping)) for row in connection.execute(query)]

    def commands_of(self, release_ids: Collection[str]) -> list[Command]:
        """All commands of these releases, oldest first, in one query."""
        query = given().where(commands.c.release_id.in_(release_ids))
        with self._read() as connection:
            return [Command.model_validate(dict(row._mapping)) for row in connection.execute(query)]

    def answer(self, command_id: int, effect: str) -> None:
        """Set a command's answer, and add it to the release's events; the first answer stays."""
        with self._write() as connection:
            row = connection.execute(select(commands).where(commands.c.id == command_id).with_for_update()).first()
            if row is None or row.answered_at is not None:
                return
            answered = update(commands).where(commands.c.id == command_id)
            connection.execute(answered.values(answered_at=self._now(), effect=effect))
            sentence = f"{row.kind} by {row.by}{f' ({row.reason})' if row.reason else ''}: {effect}"
            event = {
                "kind": "control",
                "environment": None,
                "sentence": sentence,
                "data": {"by": row.by, "kind": row.kind},
            }
            self._append(connection, events, row.release_id, event)
            told = {"actor": row.by, "reason": row.reason, "about": effect}
            self._audit(connection, row.kind, "done", release=row.release_id, texts=told)

    def late_command(
        self, release_id: str, kind: CommandKind, by: str, reason: str | None, at: float, effect: str | None = None
    ) -> None:
        """Add a command that was given while the history did not answer, and what it did; a second call adds what it did."""
        command = self._given_late(release_id, Order(kind, by, reason), at)
        if effect is not None:
            self.answer(command.id, effect)

    def answered(self, command: Command, seconds: float) -> Command:
        """Wait for a command's answer.

        :param seconds: maximum wait, in seconds.
        :return: the command; its ``answered_at`` is None where no answer came in time.
        """
        end = time.monotonic() + seconds
        while True:
            with self._read() as connection:
                row = connection.execute(select(commands).where(commands.c.id == command.id)).first()
            if row is None:
                raise UnknownRelease(f"The history knows no command {command.id} of {command.release_id} any more.")
            if row.answered_at is not None or time.monotonic() > end:
                return Command.model_validate(dict(row._mapping))
            time.sleep(ANSWER_LOOK_SECONDS)

    # --- tidying up ---------------------------------------------------------------------------------------------

    def prune(self, older_than_days: float) -> int:
        """Remove old releases, but keep the last good one of every app in every environment; and what was pushed before.

        :param older_than_days: age since the end of a release, in days.
        :return: the number of removed releases.
        """
        before = self._now() - older_than_days * 86400
        with self._write() as connection:
            kept = worth_keeping(connection)
            old = delete(releases).where(releases.c.ended_at < before, releases.c.id.not_in(kept))
            self._prune_pushes(connection, before)
            return int(connection.execute(old).rowcount)

    # --- inside -------------------------------------------------------------------------------------------------

    def _update(self, connection: Connection, release_id: str, **values: Any) -> None:
        self._known(connection, release_id)
        connection.execute(update(releases).where(releases.c.id == release_id).values(**values))

    def _append(self, connection: Connection, table: Table, release_id: str, row: dict[str, Any]) -> bool:
        """Add a row to a release unless its newest one is the same; whether it was added."""
        self._known(connection, release_id)
        newest = select(table).where(table.c.release_id == release_id).order_by(table.c.id.desc()).limit(1)
        last = connection.execute(newest).first()
        row = {name: as_kept(table.c[name], value) for name, value in row.items()}
        if last is not None and all(last._mapping[name] == value for name, value in row.items()):
            return False
        connection.execute(insert(table).values(release_id=release_id, at=self._now(), **row))
        return True

    @staticmethod
    def _add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
        """Add the rows that are not there yet."""
        if rows:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)
