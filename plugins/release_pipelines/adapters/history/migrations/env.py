"""How Alembic runs the migrations: always on the connection that it is given, inside its transaction."""

from __future__ import annotations

from alembic import context

from release_pipelines.adapters.history.address import VERSION_TABLE
from release_pipelines.adapters.history.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
