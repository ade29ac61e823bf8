"""Commands of people in the history: given once, refused by what is true in the same moment, and told in the audit trail."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, insert, select

from release_pipelines.adapters.history.audit import Audit
from release_pipelines.adapters.history.queries import given
from release_pipelines.adapters.history.tables import audit, audit_texts, commands
from release_pipelines.core.model.command import COMMAND_KINDS, Command, CommandKind
from release_pipelines.core.model.records import ReleaseDetail
from release_pipelines.core.steering import Decide, Given, No, Order

MOMENT_SECONDS = 5.0
"""The same click within this time is one click, in seconds."""
REFUSED_SECONDS = 1.0
"""The same for one that is refused, in seconds: what stood in the way may be gone soon."""


class Steering(Audit):
    """Writes commands of people."""

    def command(self, release_id: str, kind: CommandKind, by: str, reason: str | None = None) -> Command:
        """Add a person's command to a running release; the same one before it is answered is one command.

        :raises ValueError: when ``kind`` is none of the commands.
        """
        if kind not in COMMAND_KINDS:
            raise ValueError(f"A command is one of {', '.join(COMMAND_KINDS)}, found {kind!r}.")
        with self._write() as connection:
            self._known(connection, release_id)
            return self._command(connection, release_id, Order(kind, by, reason))

    def give(self, release_id: str, order: Order, decide: Decide) -> Given:
        """Take what a person orders, or refuse it by what is true in this moment; both stand in the audit trail, once for one click.

        Whoever else gives a command to the release, in whichever process, waits for this one: the release's row is locked.

        :param order: what is ordered. An answer to a form, and a rollback, are only told in the trail: somebody else carries them out.
        :param decide: why it is refused, by the release's records without its measurements; None: it is not.
        """
        with self._write() as connection:
            self._known(connection, release_id)
            before = self._given_before(connection, release_id, order, MOMENT_SECONDS)
            if before and not before.no:
                return before
            if before := self._given_before(connection, release_id, order, REFUSED_SECONDS):
                return before
            if no := decide(self._detail(connection, release_id, measured=False)):
                self._told(connection, release_id, order, no)
                return Given(order.id, no=no)
            if order.kind in COMMAND_KINDS:
                return Given(order.id, self._command(connection, release_id, order))
            self._told(connection, release_id, order)
            return Given(order.id)

    def refuse(self, release_id: str, order: Order, no: No) -> None:
        """Tell the trail that what was taken came to nothing: who had to carry it out refused it."""
        with self._write() as connection:
            self._told(connection, release_id, order, no)

    def refusal_of(self, release_id: str, order: Order) -> No | None:
        """Why this click was refused by who had to carry it out, if it was."""
        with self._read() as connection:
            before = self._given_before(connection, release_id, order, MOMENT_SECONDS)
        return before.no if before else None

    def steered(self, release_id: str) -> ReleaseDetail:
        """One release as far as commands depend on it: with all of its records but the measurements, which may be many."""
        with self._read() as connection:
            return self._detail(connection, release_id, measured=False)

    def _command(self, connection: Connection, release_id: str, order: Order) -> Command:
        same = select(commands).where(
            commands.c.release_id == release_id,
            commands.c.kind == order.kind,
            commands.c.by == order.by,
            commands.c.answered_at.is_(None),
        )
        row = connection.execute(same).first()
        if row is None:
            values = {"kind": order.kind, "by": order.by, "reason": order.reason, "at": self._now()}
            connection.execute(insert(commands).values(release_id=release_id, **values))
            row = connection.execute(same).one()
            self._told(connection, release_id, order)
        return Command.model_validate(dict(row._mapping))

    def _given_late(self, release_id: str, order: Order, at: float) -> Command:
        same = select(commands).where(
            commands.c.release_id == release_id,
            commands.c.kind == order.kind,
            commands.c.by == order.by,
            commands.c.at == at,
        )
        with self._write() as connection:
            self._known(connection, release_id)
            row = connection.execute(same).first()
            if row is None:
                values = {"kind": order.kind, "by": order.by, "reason": order.reason, "at": at}
                connection.execute(insert(commands).values(release_id=release_id, **values))
                row = connection.execute(same).one()
                self._told(connection, release_id, order)
        return Command.model_validate(dict(row._mapping))

    def _told(self, connection: Connection, release_id: str, order: Order, no: No | None = None) -> None:
        texts = {"actor": order.by, "reason": order.reason, "address": order.address}
        data = order.told()
        if no:
            texts["about"] = no.sentence
            data["refused"] = no.kind
        self._audit(connection, order.kind, "refused" if no else "asked", release=release_id, texts=texts, data=data)

    def _given_before(self, connection: Connection, release_id: str, order: Order, seconds: float) -> Given | None:
        """What became of the same click a moment before; None: it is the first."""
        if not order.key:
            return None
        recent = (audit.c.release == release_id, audit.c.at >= round((self._now() - seconds) * 1_000_000))
        rows = connection.execute(select(audit).where(*recent).order_by(audit.c.number.desc())).all()
        same = next((it for it in rows if it.action == order.kind and _key(it) == order.key), None)
        if same is None:
            return None
        click = str(same.data.get("id", ""))
        if same.phase == "refused":
            said = select(audit_texts.c.value).where(audit_texts.c.number == same.number, audit_texts.c.name == "about")
            kind = same.data.get("refused", "not now")
            return Given(click, no=No(kind, connection.scalar(said) or "It was refused."))
        if order.kind not in COMMAND_KINDS:
            return Given(click)
        newest = connection.execute(_newest(release_id)).first()
        if newest is None or (newest.kind, newest.by) != (order.kind, order.by):
            return None  # something else was ordered between the two: this one is meant anew
        return Given(click, Command.model_validate(dict(newest._mapping)))


def _key(row: Any) -> str | None:
    return row.data.get("key") if isinstance(row.data, dict) else None


def _newest(release_id: str) -> Select[Any]:
    return given().where(commands.c.release_id == release_id).order_by(None).order_by(commands.c.id.desc()).limit(1)
