"""The last good copies of calendars that are kept elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "calendar_copies",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("digest", sa.String(64)),
        sa.Column("validators", sa.Text),
        sa.Column("fetched_at", sa.Double),
        sa.Column("checked_at", sa.Double),
        sa.Column("failed_at", sa.Double),
        sa.Column("mistake", sa.Text),
        sa.Column("remark", sa.Text),
        sa.PrimaryKeyConstraint("name", name="pk_calendar_copies"),
    )
