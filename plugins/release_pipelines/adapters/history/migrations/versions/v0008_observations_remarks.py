"""What was last seen to run in each environment, and what people add to a release afterwards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "release_observations",
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("looked_at", sa.Double, nullable=False),
        sa.Column("observed_at", sa.Double),
        sa.Column("digest", sa.String(80)),
        sa.Column("version", sa.String(255)),
        sa.Column("since", sa.Double),
        sa.Column("drift_since", sa.Double),
        sa.Column("failure", sa.Text),
        sa.Column("data", sa.JSON),
        sa.PrimaryKeyConstraint("app", "environment", name="pk_release_observations"),
    )
    op.create_table(
        "release_remarks",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("release_id", sa.String(600), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("about", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_release_remarks"),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name="fk_release_remarks_release_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_release_remarks_release_id", "release_remarks", ["release_id"])
    changed = sa.text("kind IN ('deployed', 'rollback')")
    op.create_index(
        "ix_release_events_reached",
        "release_events",
        ["environment", "release_id"],
        postgresql_where=changed,
        sqlite_where=changed,
    )
