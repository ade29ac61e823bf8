"""What people tell running releases to do, for everything that waits in this process.

One query a second asks for all releases that somebody here waits for, however many triggers that are: a thousand canaries
look for commands as cheaply as one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from release_pipelines.airflow.hooks.history import HistoryHook

if TYPE_CHECKING:
    from release_pipelines.adapters.history import Command, History

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Oldest age of what is given back."""
PATIENCE_SECONDS = 1.0
"""A history that takes longer answers later: until then what is known holds, and nobody waits for it."""
INTEREST_SECONDS = 30.0
"""A release that nobody has asked for so long is no longer asked about."""


class _Waiting(NamedTuple):
    """Somebody who wants to hear of other commands than those seen."""

    release: str
    seen: frozenset[int]
    heard: asyncio.Future[None]


class Controls:
    """The commands of all releases that this event loop waits for."""

    _of_loop: dict[asyncio.AbstractEventLoop, Controls] = {}

    def __init__(self) -> None:
        self._history: History | None = None
        self._wanted: dict[str, float] = {}
        self._known: dict[str, list[Command]] = {}
        self._asked_at = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._asking_since = 0.0
        self._waiting: set[_Waiting] = set()
        self._listening: asyncio.Task[None] | None = None
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
        self._wanted[release] = time.monotonic()
        if time.monotonic() - self._asked_at > LOOK_SECONDS:
            await self._asked()
        if release not in self._known and not self._away:  # it came when the others were being asked about already
            await self._asked()
        return self._known.get(release, [])

    async def changed(self, release: str, seen: Collection[int], seconds: float) -> None:
        """Wait until the release has other commands than those ``seen`` (by id), for at most ``seconds``."""
        waiting = _Waiting(release, frozenset(seen), asyncio.get_running_loop().create_future())
        self._tell(waiting)
        self._waiting.add(waiting)
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        try:  # not wait_for, which loses a cancellation that comes together with what is waited for
            await asyncio.wait({waiting.heard}, timeout=None if seconds == math.inf else seconds)
        finally:
            self._waiting.discard(waiting)
        if waiting.heard.done():
            waiting.heard.result()

    async def _listen(self) -> None:
        """One task looks for all that wait, so that whoever waits needs no clock of its own."""
        while self._waiting:
            self._wanted |= dict.fromkeys((it.release for it in self._waiting), time.monotonic())
            try:
                await self._asked()
            except Exception as error:  # whoever waits raises it
                for waiting in self._waiting:
                    if not waiting.heard.done():
                        waiting.heard.set_exception(error)
            for waiting in self._waiting:
                self._tell(waiting)
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, waiting: _Waiting) -> None:
        known = self._known.get(waiting.release, [])
        if not waiting.heard.done() and {it.id for it in known} != waiting.seen:
            waiting.heard.set_result(None)

    async def _asked(self) -> None:
        """Everybody who waits shares one question, which outlives who has asked it."""
        if self._asking is None or self._asking.done():
            self._asking, self._asking_since = asyncio.create_task(self._ask()), time.monotonic()
        patience = max(0.0, self._asking_since + PATIENCE_SECONDS - time.monotonic())
        await asyncio.wait({self._asking}, timeout=patience)
        if self._asking.done():
            self._asking.result()

    async def answer(self, command: Command, effect: str) -> None:
        """Say what a command did; the same again changes nothing.

        :raises HistoryUnavailable: when it cannot be said now.
        """
        from release_pipelines.adapters.history import HistoryUnavailable

        async def say() -> None:
            history = await self._opened()
            await asyncio.to_thread(history.answer, command.id, effect)

        saying = asyncio.create_task(say())
        await asyncio.wait({saying}, timeout=PATIENCE_SECONDS)
        if not saying.done():
            saying.add_done_callback(lambda late: late.cancelled() or late.exception())  # nobody waits for it any more
            raise HistoryUnavailable(f"The history takes longer than {PATIENCE_SECONDS:g} s to answer.")
        saying.result()
        self._asked_at = 0.0

    async def _opened(self) -> History:
        if self._history is None:
            self._history = await HistoryHook().ahistory()
        return self._history

    async def _ask(self) -> None:
        from release_pipelines.adapters.history import HistoryUnavailable

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


async def changed(release: str, seen: Collection[int], seconds: float) -> None:
    """Wait for a command that is not ``seen`` yet, at most so long."""
    await Controls.here().changed(release, seen, seconds)


async def answer(command: Command, effect: str) -> None:
    """Say what a command did."""
    await Controls.here().answer(command, effect)
