"""What a release puts right: the deployment that failed, and since when it did harm."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History

PUTS_RIGHT, SINCE = "remedies", "degraded_since"
"""Parameters of a run."""


def record_remedy(history: History, app: str, release: str, given: Mapping[str, Any]) -> None:
    """Keep which release this one puts right, where its form says so.

    :raises ReleaseError: when there is no such release, or the moment cannot be read.
    """
    version, since = (str(given.get(name) or "").strip() for name in (PUTS_RIGHT, SINCE))
    if not version:
        if since:
            raise ReleaseError(f"Parameter {SINCE} is expected together with {PUTS_RIGHT}.")
        return
    if (at := _moment(since)) is None and since:
        raise ReleaseError(
            f"Parameter {SINCE}: found {one_line(since, 40)}, expected a moment with its zone like 2026-11-26T09:15:00+01:00."
        )
    harmful = history.promoted_release(app, version)
    if harmful is None:
        raise ReleaseError(
            f"Parameter {PUTS_RIGHT}: {app} {one_line(version, 40)} was never released to its end, so nothing puts it right."
        )
    history.record_event(release, "remedies", f"Puts {version} right.", None, {"release": harmful, "since": at})


def _moment(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return at.astimezone(timezone.utc).timestamp() if at.tzinfo else None
