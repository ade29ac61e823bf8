"""How far the stages of all releases of this process have come, and what runs there, kept in the history for people who look meanwhile.

One write every few seconds keeps that of all releases: a thousand canaries cost as many as one. What cannot be kept is not missed: the
next look is kept again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from release_pipelines.airflow.commands import CommandCache
from release_pipelines.airflow.loop import of_this_loop
from release_pipelines.airflow.notes import note_run

if TYPE_CHECKING:
    from release_pipelines.airflow.observing import Look
    from release_pipelines.core.model.observation import Observed
    from release_pipelines.core.model.progress import Progress
    from release_pipelines.core.model.target import Target
    from release_pipelines.core.progression.context import Show, Tell

log = logging.getLogger(__name__)

KEEP_SECONDS = 2.0
"""Pause between two writes, in seconds."""
SEEN_SECONDS = 5.0
"""Pause between two writes of what runs, in seconds."""
MOST_AT_ONCE = 200
"""So many are kept in one write; the others have to wait for the next."""


class ProgressBoard:
    """The newest progress of the releases that triggers on this event loop work for."""

    _of_loop: dict[asyncio.AbstractEventLoop, ProgressBoard] = {}

    def __init__(self) -> None:
        self._open: dict[str, Progress] = {}
        self._noted: dict[str, str] = {}
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    def here(cls) -> ProgressBoard:
        """The board of the running event loop."""
        return of_this_loop(cls._of_loop, cls)

    def put(self, release: str, progress: Progress) -> None:
        """Keep it soon."""
        self._open.pop(release, None)  # the order is that of the newest change
        self._open[release] = progress
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """Write as long as there is something to write."""
        while self._open:
            some = {it: self._open.pop(it) for it in list(self._open)[:MOST_AT_ONCE]}
            try:
                await CommandCache.here().write(lambda history: history.keep_progress(some))  # noqa: B023
            except Exception as error:  # nobody's release hangs on it
                log.info("How far releases have come is not kept now: %s", error)
            for release, progress in some.items():
                await self._note(release, progress.headline())
            await asyncio.sleep(KEEP_SECONDS)

    async def _note(self, release: str, headline: str) -> None:
        if self._noted.get(release) == headline:
            return
        if len(self._noted) > 10 * MOST_AT_ONCE:
            self._noted.clear()
        self._noted[release] = headline
        await note_run(release, headline)


class SightingBoard:
    """The newest observations of the releases that triggers on this event loop work for, so that what runs is fresh while one goes on."""

    _of_loop: dict[asyncio.AbstractEventLoop, SightingBoard] = {}

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Look] = {}
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    def here(cls) -> SightingBoard:
        """The board of the running event loop."""
        return of_this_loop(cls._of_loop, cls)

    def put(self, target: Target, observed: Observed) -> None:
        """Keep it soon."""
        from release_pipelines.airflow.observing import Look

        self._open[target.app, target.environment] = Look(target, time.time(), observed)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """Write as long as there is something to write."""
        from release_pipelines.airflow.observing import keep

        while self._open:
            looks, self._open = list(self._open.values()), {}
            try:
                await CommandCache.here().write(lambda history: keep(history, looks))  # noqa: B023
            except Exception as error:  # nobody's release hangs on it
                log.info("What runs is not kept now: %s", error)
            await asyncio.sleep(SEEN_SECONDS)


def shower_of(target: Target) -> Show:
    """Keeps what runs there, as a release's loops observe it.

    :param target: the app in its environment.
    """
    return lambda observed: SightingBoard.here().put(target, observed)


def keeper_of(release: str) -> Tell:
    """Keeps a release's progress.

    :param release: the release's id.
    """

    async def keep(progress: Progress) -> None:
        ProgressBoard.here().put(release, progress)

    return keep
