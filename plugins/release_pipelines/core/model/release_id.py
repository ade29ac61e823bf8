"""What the id of a release says."""

from __future__ import annotations

ROLLBACK_DAG = "release_rollback"
"""Id of the DAG for manual rollbacks."""


def is_rollback(release: str | None) -> bool:
    """Whether the release id is that of a manual rollback."""
    return bool(release and release.startswith(f"{ROLLBACK_DAG}/"))
