"""What a version did in an environment, and who lifted what it is blamed for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "release_marks",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("release_id", sa.String(600), nullable=False),
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("bad", sa.Boolean, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("lifted_at", sa.Double),
        sa.Column("lifted_by", sa.String(255)),
        sa.Column("lifted_because", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_release_marks"),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name="fk_release_marks_release_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("release_id", "environment", name="uq_release_marks_release_id"),
    )
    op.create_index("ix_release_marks_release_id", "release_marks", ["release_id"])
