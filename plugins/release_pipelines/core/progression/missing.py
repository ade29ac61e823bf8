"""Replicas that go missing while a version has traffic: the canary's are a verdict, stable's are told (R5)."""

from __future__ import annotations

import time

from release_pipelines.core.model.observation import TrackStatus
from release_pipelines.core.model.track import Track

MISSING_SECONDS = 20.0
"""Time for which a track may lack replicas that it needs, in seconds: one that ends is replaced meanwhile."""


class MissingReplicas:
    """Remembers since when a track lacks replicas."""

    def __init__(self) -> None:
        self._since: dict[Track, float] = {}
        self._told = False

    def of(self, status: TrackStatus, needed: int) -> str | None:
        """That replicas of a track are missing, for longer than a moment, without its full stop.

        :param needed: replicas that it needs.
        """
        now = time.monotonic()
        if status.ready >= needed:
            self._since.pop(status.track, None)
            return None
        missing_for = now - self._since.setdefault(status.track, now)
        if missing_for < MISSING_SECONDS:
            return None
        why = f" ({status.waiting.rstrip('.')})" if status.waiting else ""
        return f"{status.ready} of {needed} replicas of {status.named} are ready, for {missing_for:.0f} s{why}"

    def news_of_stable(self, stable: TrackStatus, before: int | None) -> str | None:
        """A sentence when stable lacks replicas, once: nothing of the version's, but its way back is that much weaker.

        :param before: replicas that stable had before the release.
        """
        missing = self.of(stable, lacking(stable, before))
        news = f"Stable lacks replicas: {missing}." if missing and not self._told else None
        self._told = missing is not None
        return news


def lacking(stable: TrackStatus, before: int | None) -> int:
    """Replicas without which stable lacks capacity: those of before the release, as far as they are still wanted."""
    return min(before or stable.wanted, stable.wanted)
