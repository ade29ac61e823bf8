"""What a release of single operators came to: no task of its run says it, so whoever gives the lease back does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines.core.model.outcome import Outcome

if TYPE_CHECKING:
    from release_pipelines.core.model.records import ReleaseDetail

TELLS_IT = ("RecordOutcomeOperator", "RecordRollbackOperator")
"""Operators that say themselves what a release came to."""


BESIDE = ("HoldLeaseOperator", "GiveBackLeaseOperator")
"""Operators whose tasks go on until the lease is given back, or do that."""
FINISHED = ("success", "failed", "skipped", "upstream_failed", "removed")
"""States of a task that will do nothing more."""


def is_compiled(release: str) -> bool:
    """Whether a release is one of an app's own DAG, which has a task that says what it came to: a task's process need not know the others."""
    return release.rpartition("#")[2].isdigit()


def came_to(
    detail: ReleaseDetail, environment: str, why: str, holder: str | None, returned: str | None, *, whole: bool
) -> tuple[Outcome, str]:
    """The outcome of a release and its sentence, from its records.

    :param why: why it ended, without a full stop.
    :param holder: who holds the lease.
    :param whole: no task has failed.
    """
    version = detail.version
    if holder not in (None, "", detail.id):
        return "superseded", f"Superseded {version}: {holder} has taken over."
    if detail.promoted_at is not None:
        return "released", f"Released {version}: it serves all traffic in {environment} and held."
    last = detail.verdicts[-1] if detail.verdicts else None
    bad = last is not None and last.judgement != "pass"
    at = f" at {last.weight} %" if last else ""
    back = f", traffic is back on {returned}" if returned else ""
    if abort := next((it for it in detail.commands if it.kind == "abort"), None):
        reason = f": {abort.reason.rstrip('.')}" if abort.reason else ""
        return "aborted", f"Aborted {version}{at}: {abort.by}{reason}{back}."
    if last is not None and (bad or returned):
        return "rolled_back", f"Rolled back {version}{at}: {last.sentence.rstrip('.') if bad else why}{back}."
    if whole and not returned:
        return "released", f"Released {version}: all tasks of its run in {environment} succeeded."
    return "failed", f"Failed {version}: {why}{back}."
