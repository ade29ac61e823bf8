"""Outcomes of releases."""

from typing import Literal

Outcome = Literal[
    "released", "no_op", "rolled_back", "rejected", "expired", "superseded", "aborted", "failed", "rollback_failed"
]
"""The outcome of a release."""

INCIDENT: tuple[Outcome, ...] = ("rolled_back", "rollback_failed", "superseded", "aborted")
"""Outcomes of a release that changed its last environment, and whose version did not stay there."""

OfTrains = Literal["stopped", "compensated", "compensation_failed"]
"""Outcomes that only trains have: it stopped and what it released stays; all of that went back; not all of it did."""
TrainOutcome = Literal[Outcome, OfTrains]
"""The outcome of a train."""
LIKE: dict[str, Outcome] = {
    "stopped": "rolled_back",
    "compensated": "rolled_back",
    "compensation_failed": "rollback_failed",
}
"""Outcomes of trains to those of releases of which the same people want to hear."""
