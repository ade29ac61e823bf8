"""Outcomes of releases."""

from typing import Literal

Outcome = Literal[
    "released", "no_op", "rolled_back", "rejected", "expired", "superseded", "aborted", "failed", "rollback_failed"
]
"""The outcome of a release."""

INCIDENT: tuple[Outcome, ...] = ("rolled_back", "rollback_failed", "superseded", "aborted")
"""Outcomes of a release that changed its last environment, and whose version did not stay there."""
