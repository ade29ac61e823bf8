"""What a release comes to."""

from __future__ import annotations

from typing import Literal

Outcome = Literal[
    "released", "no_op", "rolled_back", "rejected", "expired", "superseded", "aborted", "failed", "rollback_failed"
]
"""What a release comes to."""

INCIDENT: tuple[Outcome, ...] = ("rolled_back", "rollback_failed", "superseded", "aborted")
"""Outcomes of a release that has changed its last environment and did not stay there."""
