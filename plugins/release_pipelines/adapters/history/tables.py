"""The history's tables. Times are Unix times in seconds; a change here needs a migration beside it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from release_pipelines.adapters.history.column_types import FoundJson, SafeJson, SafeText, ShortText

SCHEMA_VERSION = 2

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def _belongs() -> Column[str]:
    """Column that ties a row to its release and lets it go with it."""
    return Column("release_id", String(600), ForeignKey("releases.id", ondelete="CASCADE"), nullable=False, index=True)


REACHED = "kind IN ('deployed', 'rollback')"
"""Events by which a release changed an environment, a few of all: the last one of every app is asked for often."""

releases = Table(
    "releases",
    metadata,
    Column("id", String(600), primary_key=True),
    Column("app", String(64), nullable=False),
    Column("dag_id", String(255), nullable=False),
    Column("run_id", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("commit", String(64)),
    Column("digest", String(80)),
    Column("image", String(512)),
    Column("evidence", SafeJson),
    Column("reason", SafeText),
    Column("notes", SafeText),
    Column("requester", ShortText(255)),
    Column("outcome", String(32)),
    Column("sentence", SafeText),
    Column("direction", String(16), nullable=False, server_default="forward"),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("promoted_at", Double),
    Column("schema_version", Integer, nullable=False),
    Index("ix_releases_app_started_at", "app", "started_at"),
    Index("ix_releases_app_version", "app", "version"),
    Index("ix_releases_app_ended_at", "app", "ended_at"),
)

events = Table(
    "release_events",
    metadata,
    Column("id", Integer, primary_key=True),
    _belongs(),
    Column("at", Double, nullable=False),
    Column("kind", ShortText(64), nullable=False),
    Column("environment", ShortText(64)),
    Column("sentence", SafeText, nullable=False),
    Column("data", SafeJson),
    Index(
        "ix_release_events_reached",
        "environment",
        "release_id",
        postgresql_where=text(REACHED),
        sqlite_where=text(REACHED),
    ),
)

verdicts = Table(
    "release_verdicts",
    metadata,
    Column("id", Integer, primary_key=True),
    _belongs(),
    Column("environment", ShortText(64), nullable=False),
    Column("step", ShortText(64), nullable=False),
    Column("weight", Integer, nullable=False),
    Column("judgement", String(16), nullable=False),
    Column("decided_at", Double, nullable=False),
    Column("accepted_at", Double),
    Column("metrics", SafeJson, nullable=False),
    Column("sentence", SafeText, nullable=False),
    UniqueConstraint("release_id", "environment", "step", "decided_at"),
)

measurements = Table(
    "release_measurements",
    metadata,
    Column("id", Integer, primary_key=True),
    _belongs(),
    Column("environment", ShortText(64), nullable=False),
    Column("step", ShortText(64), nullable=False),
    Column("metric", ShortText(64), nullable=False),
    Column("at", Double, nullable=False),
    Column("value", Double),
    Column("bad", Double),
    Column("total", Double),
    Column("error", SafeText),
    Column("stable_bad", Double),
    Column("stable_total", Double),
    UniqueConstraint("release_id", "environment", "step", "metric", "at"),
)

approvals = Table(
    "release_approvals",
    metadata,
    Column("id", Integer, primary_key=True),
    _belongs(),
    Column("digest", String(80), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("by", ShortText(255)),
    Column("at", Double, nullable=False),
    Column("note", SafeText),
)

commands = Table(
    "release_commands",
    metadata,
    Column("id", Integer, primary_key=True),
    _belongs(),
    Column("kind", String(16), nullable=False),
    Column("by", ShortText(255), nullable=False),
    Column("reason", SafeText),
    Column("at", Double, nullable=False),
    Column("answered_at", Double, index=True),
    Column("effect", SafeText),
)

reports = Table(
    "release_reports",
    metadata,
    Column("id", Integer, primary_key=True),
    _belongs(),
    Column("name", String(128), nullable=False),
    Column("media_type", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Column("content", SafeText, nullable=False),
    UniqueConstraint("release_id", "name"),
)

marks = Table(
    "release_marks",
    metadata,
    Column("id", Integer, primary_key=True),
    _belongs(),
    Column("environment", ShortText(64), nullable=False),
    Column("bad", Boolean, nullable=False),
    Column("sentence", SafeText, nullable=False),
    Column("at", Double, nullable=False),
    Column("lifted_at", Double),
    Column("lifted_by", ShortText(255)),
    Column("lifted_because", SafeText),
    UniqueConstraint("release_id", "environment"),
)
"""Whether a release that went back in an environment says something against its version there, and why."""

train_apps = Table(
    "train_apps",
    metadata,
    Column("id", Integer, primary_key=True),
    _belongs(),
    Column("app", ShortText(64), nullable=False),
    Column("environment", ShortText(64), nullable=False),
    Column("wave", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("version", ShortText(255)),
    Column("digest", String(80)),
    Column("image", String(512)),
    Column("before_version", ShortText(255)),
    Column("before_digest", String(80)),
    Column("result", String(32), nullable=False),
    Column("sentence", SafeText, nullable=False),
    Column("run_id", String(255)),
    Column("held_at", Double),
    Column("approver", ShortText(255)),
    Column("approver_id", ShortText(255)),
    Column("approved_at", Double),
    UniqueConstraint("release_id", "app"),
    Index("ix_train_apps_app_run_id", "app", "run_id"),
)
"""The apps of a train, whose own row is one of ``releases``."""

train_holds = Table(
    "train_holds",
    metadata,
    _belongs(),
    Column("app", ShortText(64), primary_key=True),
    Column("environment", ShortText(64), primary_key=True),
    Column("alive_at", Double, nullable=False),
)
"""Which train has an app for itself, and when it last said so."""
deliveries = Table(
    "release_deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("app", ShortText(64), nullable=False, index=True),
    Column("source", ShortText(32), nullable=False),
    Column("name", ShortText(255)),
    Column("at", Double, nullable=False),
    Column("told", SafeJson, nullable=False),
    Column("judged_at", Double, index=True),
    Column("sentence", SafeText),
)
"""What forges and registries sent for apps."""

starts = Table(
    "release_starts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("app", String(64), nullable=False),
    Column("environment", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("commit", String(64)),
    Column("digest", String(80)),
    Column("tag", ShortText(255)),
    Column("by", ShortText(255)),
    Column("source", String(32), nullable=False),
    Column("at", Double, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("sentence", SafeText),
    Column("changed_at", Double, nullable=False),
    UniqueConstraint("app", "environment", "subject"),
)
"""Releases that pushes ask for: one for each commit or digest, whoever tells of it and however often."""
calendar_copies = Table(
    "calendar_copies",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("source", SafeText, nullable=False),
    Column("content", SafeText),
    Column("digest", String(64)),
    Column("validators", SafeText),
    Column("fetched_at", Double),
    Column("checked_at", Double),
    Column("failed_at", Double),
    Column("mistake", SafeText),
    Column("remark", SafeText),
)
"""The last good copies of calendars that are kept elsewhere, and what became of the last look at each."""

audit = Table(
    "release_audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("action", String(64), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("release", String(600), nullable=False, index=True),
    Column("app", String(64), nullable=False, index=True),
    Column("environment", String(64), nullable=False),
    Column("previous", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("seals", FoundJson, nullable=False),
    Column("data", FoundJson, nullable=False),
)
"""Who did what: rows that are only ever added. They outlive their releases. Times are Unix times in microseconds."""

audit_texts = Table(
    "release_audit_texts",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(16), primary_key=True),
    Column("value", Text, nullable=False),
    Column("salt", String(64), nullable=False),
)
"""What may name a person in these rows: gone when that person is forgotten."""

audit_head = Table(
    "release_audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
)
"""One row: the end of the trail. Whoever adds to it locks this row first."""

observations = Table(
    "release_observations",
    metadata,
    Column("app", String(64), primary_key=True),
    Column("environment", String(64), primary_key=True),
    Column("looked_at", Double, nullable=False),
    Column("observed_at", Double),
    Column("digest", String(80)),
    Column("version", ShortText(255)),
    Column("since", Double),
    Column("drift_since", Double),
    Column("failure", SafeText),
    Column("data", SafeJson),
)
"""What was last seen to run in each environment; ``observed_at`` is older than ``looked_at`` where the last look failed."""

remarks = Table(
    "release_remarks",
    metadata,
    Column("id", Integer, primary_key=True),
    _belongs(),
    Column("at", Double, nullable=False),
    Column("by", ShortText(255), nullable=False),
    Column("about", String(16), nullable=False),
    Column("text", SafeText, nullable=False),
)
"""What people add to a release: what they expected, what happened, and notes."""
