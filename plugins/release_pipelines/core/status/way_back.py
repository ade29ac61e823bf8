"""To which version a release would go back, goes or went, and why."""

from __future__ import annotations

from typing import Any

from release_pipelines.core.model.records import Event, ReleaseDetail
from release_pipelines.core.model.release_id import ROLLBACK_DAG, is_rollback
from release_pipelines.core.status.model import WayBack
from release_pipelines.core.status.stages import DEPLOYED, ROLLBACK


def way_back_of(release: ReleaseDetail, last: str | None) -> WayBack:
    """The way back.

    :param last: the last environment; None: it is not known.
    """
    plans = [it for it in release.events if it.kind == ROLLBACK]
    if plans:
        return _taken(release, plans[-1])
    deployed = [it for it in release.events if it.kind == DEPLOYED and (last is None or it.environment == last)]
    if is_rollback(release.id):
        return WayBack(state="none", sentence="This is a way back itself.")
    if not deployed:
        sentence = f"{last or 'Its last environment'} has not been touched: nothing has to go back there."
        return WayBack(state="not touched", sentence=sentence)
    data = deployed[-1].data or {}
    version, digest = _before(data)
    if data.get("first"):
        return WayBack(state="none", sentence="A first release: nothing ran before that could take the traffic back.")
    if version is None and digest is None:
        return WayBack(state="unknown", sentence="What ran before was not told.")
    named = version or digest
    if release.outcome in ("rolled_back", "aborted"):
        return WayBack(
            state="went", version=version, digest=digest, sentence=f"It went back to {named}.", at=release.ended_at
        )
    if release.outcome is not None and release.promoted_at is None:
        return WayBack(
            state="over", version=version, digest=digest, sentence=f"Nothing had to go back; {named} ran before."
        )
    if release.promoted_at is not None:
        sentence = f"{named} ran before. It has been promoted: the DAG {ROLLBACK_DAG} goes back."
        return WayBack(state="over", version=version, digest=digest, sentence=sentence)
    sentence = f"It would go back to {named}, which ran before."
    return WayBack(state="would", version=version, digest=digest, sentence=sentence)


def _before(data: dict[str, Any]) -> tuple[str | None, str | None]:
    """What a rollback goes back to, as the deploying task has noted it."""
    good = data.get("good") if isinstance(data.get("good"), dict) else {}
    found = [
        (good or {}).get("version") or data.get("previous_version"),
        (good or {}).get("digest") or data.get("previous_digest"),
    ]
    version, digest = (it if isinstance(it, str) else None for it in found)
    return version, digest


def _taken(release: ReleaseDetail, plan: Event) -> WayBack:
    data = plan.data or {}
    version, digest = (it if isinstance(it := data.get(name), str) else None for name in ("version", "digest"))
    state = "goes"
    if release.outcome is not None:
        state = "failed" if release.outcome == "rollback_failed" or data.get("kind") == "person" else "went"
    return WayBack(state=state, version=version, digest=digest, sentence=plan.sentence, at=plan.at)
