"""What people tell running releases to do, for everything that waits in this process.

One query a second asks for all releases that somebody here waits for, however many triggers that are: a thousand canaries
look for commands as cheaply as one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from release_pipelines.hooks.history import HistoryHook

if TYPE_CHECKING:
    from release_pipelines.history import Command, History

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Oldest age of what is given back."""
INTEREST_SECONDS = 30.0
"""A release that nobody has asked for so long is no longer asked about."""


class Controls:
    """The commands of all releases that this event loop waits for."""

    _of_loop: dict[asyncio.AbstractEventLoop, Controls] = {}

    def __init__(self) -> None:
        self._history: History | None = None
        self._wanted: dict[str, float] = {}
        self._known: dict[str, list[Command]] = {}
        self._asked_at = 0.0
        self._asking = asyncio.Lock()
        self._away = False

    @classmethod
    def here(cls) -> Controls:
        """Those of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in cls._of_loop:
            for other in [known for known in cls._of_loop if known.is_closed()]:
                del cls._of_loop[other]
            cls._of_loop[loop] = cls()
        return cls._of_loop[loop]

    async def of(self, release: str) -> list[Command]:
        """The release's commands, oldest first, answered ones too; the last known ones while the history is away."""
        new = release not in self._wanted
        self._wanted[release] = time.monotonic()
        if new or time.monotonic() - self._asked_at > LOOK_SECONDS:
            async with self._asking:
                if release not in self._known or time.monotonic() - self._asked_at > LOOK_SECONDS:
                    await self._ask()
        return self._known.get(release, [])

    async def answer(self, command: Command, effect: str) -> None:
        """Say what a command did; the same again changes nothing.

        :raises HistoryUnavailable: when it cannot be said now.
        """
        history = await self._opened()
        await asyncio.to_thread(history.answer, command.id, effect)
        self._asked_at = 0.0

    async def _opened(self) -> History:
        if self._history is None:
            self._history = await HistoryHook().ahistory()
        return self._history

    async def _ask(self) -> None:
        from release_pipelines.history import HistoryUnavailable

        now = time.monotonic()
        self._wanted = {it: at for it, at in self._wanted.items() if now - at < INTEREST_SECONDS}
        try:
            history, asked = await self._opened(), list(self._wanted)
            found = await asyncio.to_thread(history.commands_of, asked)
        except HistoryUnavailable as error:  # nobody can give a command meanwhile either
            if not self._away:
                log.warning("%s Commands of people are not heard until it does.", error)
            self._away, self._asked_at = True, time.monotonic()
            return
        self._away = False
        self._known = {release: [] for release in asked}
        for command in found:
            self._known[command.release_id].append(command)
        self._asked_at = time.monotonic()


async def commands_of(release: str) -> list[Command]:
    """All commands of a release, at most half a second old."""
    return await Controls.here().of(release)


async def answer(command: Command, effect: str) -> None:
    """Say what a command did."""
    await Controls.here().answer(command, effect)
