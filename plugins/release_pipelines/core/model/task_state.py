"""What a task's state says of what it may have done."""

from __future__ import annotations


def touched(state: str | None) -> bool:
    """Whether a task in this state may have changed something."""
    return state not in (None, "none", "skipped", "upstream_failed", "removed", "scheduled", "queued")
