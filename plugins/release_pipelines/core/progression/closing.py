"""The window of a release closes while it runs: it goes on, keeps its traffic as it is, or gives it back.

Only what gives the version more traffic, or makes it stable, is held up here. What takes traffic back never asks a calendar.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.model.units import lasting
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.progression.context import ReleaseContext

if TYPE_CHECKING:
    from release_pipelines.core.calendars import Standing

log = logging.getLogger(__name__)

CLOSED = "its window has closed"
"""What the sentence of a verdict begins with that comes from a window."""
LOOK_SECONDS = 5.0
"""Longest pause between two looks at the calendars while they are closed, in seconds."""


def is_closed_verdict(verdict: Verdict) -> bool:
    """Whether a verdict comes from a window that has closed: it says nothing about the version."""
    return verdict.judgement == "fail" and comes_from_window(verdict.sentence)


def comes_from_window(sentence: str) -> bool:
    """Whether a sentence tells of a window that has closed."""
    return sentence.startswith(CLOSED)


class Closing:
    """What the calendars of a release say in one stage.

    :param context: the release.
    :param stage: the stage's name, by which its policy is known.
    """

    def __init__(self, context: ReleaseContext, stage: str) -> None:
        self.context = context
        self.rule = context.window
        self.policy = self.rule.on_close.of(stage) if self.rule else "finish"
        self.limit = self.rule.on_close.limit if self.rule else 0.0
        self.standing: Standing | None = None
        """What they said last, if the stage asks them."""

    async def look(self) -> bool:
        """Whether the stage has to heed that they are closed now."""
        if self.policy == "finish" or self.context.ask_calendars is None:
            return False
        self.standing = await self.context.ask_calendars(time.time())
        return not self.standing.open

    @property
    def holds(self) -> bool:
        """Whether they are closed, as seen last, and the stage waits until they open."""
        return self.policy == "pause" and self.standing is not None and not self.standing.open

    async def noted(self, note: RouteNote) -> RouteNote:
        """The note with the moment since which they are closed; a change is recorded, and is for the caller to write."""
        standing, closed_at = self.standing, note.closed_at
        if self.policy != "pause" or standing is None or (closed_at is None) == standing.open:
            return note
        if standing.open:
            await self._record(f"The window is open again: {standing.sentence}. The release goes on.", {"open": True})
            return note.model_copy(update={"closed_at": None})
        stays = f"The traffic stays as it is, for at most {lasting(self.limit)}."
        await self._record(
            f"The window has closed: {standing.sentence}. {stays}", {"open": False, "opens_at": standing.opens_at}
        )
        return note.model_copy(update={"closed_at": time.time()})

    def over(self, note: RouteNote) -> str | None:
        """Why the traffic has to go back now, in a sentence without its full stop; None: it need not."""
        if self.standing is None or self.standing.open:
            return None
        if self.policy == "rollback":
            return f"{CLOSED} ({self.standing.sentence})"
        if note.closed_at is None or time.time() < note.closed_at + self.limit:
            return None
        return f"{CLOSED}, and has not opened again within {lasting(self.limit)} ({self.standing.sentence})"

    def changes_at(self, note: RouteNote) -> float | None:
        """When, as Unix time in seconds, something changes by what is known now; None: that is not known."""
        if self.standing is None:
            return None
        if self.standing.open:
            return self.standing.closes_at
        ends = [self.standing.opens_at, note.closed_at + self.limit if note.closed_at else None]
        return min((it for it in ends if it is not None), default=None)

    def pause(self, note: RouteNote) -> float:
        """Seconds until the next look."""
        at = self.changes_at(note)
        return LOOK_SECONDS if at is None else max(0.01, min(LOOK_SECONDS, at - time.time()))

    async def opened(self, note: RouteNote) -> str | None:
        """Wait until they are open, with the traffic as it is; None, or why it has to go back.

        :param note: the note on the route, which keeps since when they are closed (R6).
        """
        while await self.look():
            note = await self.kept(note)
            if why := self.over(note):
                return why
            await self.context.commands.wait(self.pause(note))
        await self.kept(note)
        return None

    async def kept(self, note: RouteNote) -> RouteNote:
        """:meth:`noted`, and written where it has changed."""
        changed = await self.noted(note)
        if changed is not note:
            await self.context.split(changed.traffic or ALL_TO_STABLE, changed)
        return changed

    async def _record(self, sentence: str, data: dict[str, Any]) -> None:
        log.warning(sentence)
        await self.context.record("window", sentence, data)
