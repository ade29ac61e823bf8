"""The audit trail: rows that are chained by their hashes, what may name a person beside them, and the end of the chain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "release_audit",
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("release", sa.String(600), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("seals", sa.JSON, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_release_audit"),
        sa.UniqueConstraint("previous", name="uq_release_audit_previous"),
        sa.UniqueConstraint("hash", name="uq_release_audit_hash"),
    )
    for column in ("at", "release", "app"):
        op.create_index(f"ix_release_audit_{column}", "release_audit", [column])
    op.create_table(
        "release_audit_texts",
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", "name", name="pk_release_audit_texts"),
    )
    head = op.create_table(
        "release_audit_head",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_release_audit_head"),
    )
    op.bulk_insert(head, [{"id": 1, "hash": "0" * 64, "number": 0, "count": 0}])
