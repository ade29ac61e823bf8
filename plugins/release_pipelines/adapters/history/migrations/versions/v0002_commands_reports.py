"""What people tell a running release to do; reports and plots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _belongs(table: str) -> list[sa.Column[str] | sa.Constraint]:
    return [
        sa.Column("release_id", sa.String(600), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name=f"fk_{table}_release_id", ondelete="CASCADE"),
    ]


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "release_commands",
        sa.Column("id", sa.Integer, nullable=False),
        *_belongs("release_commands"),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("answered_at", sa.Double),
        sa.Column("effect", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_release_commands"),
    )
    op.create_index("ix_release_commands_release_id", "release_commands", ["release_id"])
    op.create_index("ix_release_commands_answered_at", "release_commands", ["answered_at"])
    op.create_table(
        "release_reports",
        sa.Column("id", sa.Integer, nullable=False),
        *_belongs("release_reports"),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("media_type", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_release_reports"),
        sa.UniqueConstraint("release_id", "name", name="uq_release_reports_release_id"),
    )
    op.create_index("ix_release_reports_release_id", "release_reports", ["release_id"])
