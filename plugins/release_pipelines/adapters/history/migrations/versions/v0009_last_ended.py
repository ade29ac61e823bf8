"""The release of each app that ended last is found without reading all."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_releases_app_ended_at", "releases", ["app", "ended_at"])
