"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "releases",
        sa.Column("id", sa.String(600), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("dag_id", sa.String(255), nullable=False),
        sa.Column("run_id", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("commit", sa.String(64)),
        sa.Column("digest", sa.String(80)),
        sa.Column("image", sa.String(512)),
        sa.Column("evidence", sa.JSON),
        sa.Column("reason", sa.Text),
        sa.Column("notes", sa.Text),
        sa.Column("requester", sa.String(255)),
        sa.Column("outcome", sa.String(32)),
        sa.Column("sentence", sa.Text),
        sa.Column("direction", sa.String(16), nullable=False, server_default="forward"),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("promoted_at", sa.Double),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
    )
    op.create_index("ix_releases_app_started_at", "releases", ["app", "started_at"])
    op.create_index("ix_releases_app_version", "releases", ["app", "version"])
    _create_for_release(
        "release_events",
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("environment", sa.String(64)),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("data", sa.JSON),
    )
    _create_for_release(
        "release_verdicts",
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("judgement", sa.String(16), nullable=False),
        sa.Column("decided_at", sa.Double, nullable=False),
        sa.Column("accepted_at", sa.Double),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        unique=("release_id", "environment", "step", "decided_at"),
    )
    _create_for_release(
        "release_measurements",
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("metric", sa.String(64), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("bad", sa.Double),
        sa.Column("total", sa.Double),
        sa.Column("error", sa.Text),
        sa.Column("stable_bad", sa.Double),
        sa.Column("stable_total", sa.Double),
        unique=("release_id", "environment", "step", "metric", "at"),
    )
    _create_for_release(
        "release_approvals",
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("by", sa.String(255)),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("note", sa.Text),
    )


def _create_for_release(name: str, *columns: sa.Column[object], unique: tuple[str, ...] = ()) -> None:
    """A table whose rows belong to a release and go with it."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("release_id", sa.String(600), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name=f"fk_{name}_release_id", ondelete="CASCADE"),
        *([sa.UniqueConstraint(*unique, name=f"uq_{name}_release_id")] if unique else []),
    )
    op.create_index(f"ix_{name}_release_id", name, ["release_id"])


def downgrade() -> None:
    """Remove them, with everything in them."""
    for name in ("release_approvals", "release_measurements", "release_verdicts", "release_events", "releases"):
        op.drop_table(name)
