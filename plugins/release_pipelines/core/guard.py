"""No traffic for a track that cannot answer (R5): one rule, which every platform asks before it changes the traffic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import BESIDE, Track
from release_pipelines.core.model.traffic import Traffic


async def refuse_unready(
    target: Target, wanted: Traffic, current: Traffic | None, is_ready: Callable[[Track], Awaitable[bool]]
) -> None:
    """Raise unless every track that would get more requests than it gets now has a ready replica.

    Traffic that goes to nothing but dead tracks beside stable may return to stable even when stable is not ready: it is the
    version that is going to answer first.

    :param wanted: the traffic as it shall be.
    :param current: the traffic as it is; None where there is no route yet.
    :param is_ready: says whether a track has a ready replica. Not asked about tracks that do not matter.
    :raises PlatformError: naming the track.
    """
    for track in sorted(_gaining(wanted, current)):
        if await is_ready(track):
            continue
        others = [it for it in BESIDE if current and current.weight(it)]
        if track == "stable" and others and not any([await is_ready(it) for it in others]):
            continue
        raise PlatformError(
            f"The {track} of {target.app} in {target.environment} has no ready replica: it gets no traffic."
        )


def _gaining(wanted: Traffic, current: Traffic | None) -> set[Track]:
    """Tracks whose weight rises; the canary also for testers and copies of requests, which may reach it at any moment."""
    gaining = {it for it, weight in wanted.weights.items() if weight > (current.weight(it) if current else 0)}
    return gaining | ({"canary"} if wanted.testers or wanted.mirror else set())
