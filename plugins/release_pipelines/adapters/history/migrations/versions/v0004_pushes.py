"""What was pushed, and which releases it asks for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "release_deliveries",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("told", sa.JSON, nullable=False),
        sa.Column("judged_at", sa.Double),
        sa.Column("sentence", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_release_deliveries"),
    )
    op.create_index("ix_release_deliveries_app", "release_deliveries", ["app"])
    op.create_index("ix_release_deliveries_judged_at", "release_deliveries", ["judged_at"])
    op.create_table(
        "release_starts",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("commit", sa.String(64)),
        sa.Column("digest", sa.String(80)),
        sa.Column("tag", sa.String(255)),
        sa.Column("by", sa.String(255)),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sentence", sa.Text),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_release_starts"),
        sa.UniqueConstraint("app", "environment", "subject", name="uq_release_starts_app"),
    )
    op.create_index("ix_release_starts_state", "release_starts", ["state"])
