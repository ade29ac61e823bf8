"""What trains release, and which apps they hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "train_apps",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("release_id", sa.String(600), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("version", sa.String(255)),
        sa.Column("digest", sa.String(80)),
        sa.Column("image", sa.String(512)),
        sa.Column("before_version", sa.String(255)),
        sa.Column("before_digest", sa.String(80)),
        sa.Column("result", sa.String(32), nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(255)),
        sa.Column("held_at", sa.Double),
        sa.Column("approver", sa.String(255)),
        sa.Column("approver_id", sa.String(255)),
        sa.Column("approved_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_train_apps"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_train_apps_release_id", ondelete="CASCADE"),
        sa.UniqueConstraint("release_id", "app", name="uq_train_apps_release_id"),
    )
    op.create_index("ix_train_apps_release_id", "train_apps", ["release_id"])
    op.create_index("ix_train_apps_app_run_id", "train_apps", ["app", "run_id"])
    op.create_table(
        "train_holds",
        sa.Column("release_id", sa.String(600), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("alive_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("app", "environment", name="pk_train_holds"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_train_holds_release_id", ondelete="CASCADE"),
    )
    op.create_index("ix_train_holds_release_id", "train_holds", ["release_id"])
