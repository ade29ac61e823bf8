"""Commands of running releases, read from the history, for all triggers of this process.

One query twice a second reads the commands of all releases that a trigger here works for: a thousand canaries cost as many
queries as one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from release_pipelines.airflow.aside import put_aside_of
from release_pipelines.airflow.hooks.history import HistoryHook, keep
from release_pipelines.airflow.loop import of_this_loop
from release_pipelines.core.model.command import Command, CommandKind
from release_pipelines.core.progression.commands import ReleaseCommands

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.progression.context import RecordEvent

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Maximum age of cached commands, in seconds."""
PATIENCE_SECONDS = 1.0
"""Maximum time to wait for the history, in seconds; after that the cached commands are used, and its answer comes later."""
ASIDE_SECONDS = 10.0
"""Pause between two looks for commands that were given while the history did not answer, in seconds; while it does not, each look sees them."""
INTEREST_SECONDS = 30.0
"""Time after which a release that no trigger has asked for is no longer queried, in seconds."""


class _Waiter(NamedTuple):
    """A trigger that waits until its release has other commands than those it knows."""

    release: str
    known: frozenset[int]
    changed: asyncio.Future[None]


class CommandCache:
    """The commands of all releases that triggers on this event loop work for."""

    _of_loop: dict[asyncio.AbstractEventLoop, CommandCache] = {}

    def __init__(self) -> None:
        self._history: History | None = None
        self._asked_at: dict[str, float] = {}
        self._commands: dict[str, list[Command]] = {}
        self._read_at = 0.0
        self._query: asyncio.Task[None] | None = None
        self._query_started_at = 0.0
        self._waiters: set[_Waiter] = set()
        self._polling: asyncio.Task[None] | None = None
        self._unavailable = False
        self._kept: set[int] = set()
        self._looked_aside_at = -ASIDE_SECONDS
        self._moved: set[int] = set()

    @classmethod
    def here(cls) -> CommandCache:
        """The cache of the running event loop."""
        return of_this_loop(cls._of_loop, cls)

    async def of(self, release: str) -> list[Command]:
        """The release's commands, oldest first, answered ones too; the cached ones while the history is unavailable."""
        self._asked_at[release] = time.monotonic()
        if time.monotonic() - self._read_at > LOOK_SECONDS:
            await self._refresh()
        if release not in self._commands and not self._unavailable:  # the query had started without it
            await self._refresh()
        return self._commands.get(release, [])

    async def wait_for_change(self, release: str, known: Collection[int], seconds: float) -> None:
        """Wait until the release has other commands than those with the ids ``known``, for at most ``seconds``."""
        waiter = _Waiter(release, frozenset(known), asyncio.get_running_loop().create_future())
        self._notify(waiter)
        self._waiters.add(waiter)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:  # not wait_for, which loses a cancellation that comes together with what is waited for
            await asyncio.wait({waiter.changed}, timeout=None if seconds == math.inf else seconds)
        finally:
            self._waiters.discard(waiter)
        if waiter.changed.done():
            waiter.changed.result()

    async def _poll(self) -> None:
        """One task reads for all waiters, as long as there are any."""
        while self._waiters:
            self._asked_at |= dict.fromkeys((it.release for it in self._waiters), time.monotonic())
            try:
                await self._refresh()
            except Exception as error:  # the waiters raise it
                for waiter in self._waiters:
                    if not waiter.changed.done():
                        waiter.changed.set_exception(error)
            for waiter in self._waiters:
                self._notify(waiter)
            await asyncio.sleep(LOOK_SECONDS)

    def _notify(self, waiter: _Waiter) -> None:
        known = self._commands.get(waiter.release, [])
        if not waiter.changed.done() and {it.id for it in known} != waiter.known:
            waiter.changed.set_result(None)

    async def _refresh(self) -> None:
        """Read the history; all callers share one query, which goes on when a caller is cancelled."""
        if self._query is None or self._query.done():
            self._query, self._query_started_at = asyncio.create_task(self._read()), time.monotonic()
        patience = max(0.0, self._query_started_at + PATIENCE_SECONDS - time.monotonic())
        await asyncio.wait({self._query}, timeout=patience)
        if self._query.done():
            self._query.result()

    async def answer(self, command: Command, effect: str) -> None:
        """Record what a command did; recording it again changes nothing.

        :raises HistoryUnavailable: when the history does not answer in time.
        """
        if command.id < 0:  # the history does not have it yet
            await self.keep(command, effect)
            return
        await self.write(lambda history: history.answer(command.id, effect))
        self._read_at = 0.0

    async def write(self, call: Callable[[History], object]) -> None:
        """Write to the history, in a thread.

        :raises HistoryUnavailable: when the history does not answer in time.
        """
        from release_pipelines.adapters.history import HistoryUnavailable

        async def record() -> None:
            history = await self._opened()
            await asyncio.to_thread(call, history)

        recording = asyncio.create_task(record())
        await asyncio.wait({recording}, timeout=PATIENCE_SECONDS)
        if not recording.done():
            recording.add_done_callback(
                lambda task: task.cancelled() or task.exception()
            )  # its error is of no interest
            raise HistoryUnavailable(f"The history takes longer than {PATIENCE_SECONDS:g} s to answer.")
        recording.result()

    async def keep(self, command: Command, effect: str) -> None:
        """Keep an answer that the history could not take, once: loops give it again and again."""
        if command.id not in self._kept:
            self._kept.add(command.id)
            if command.id < 0:
                await asyncio.to_thread(keep, "late_command", *late(command), effect)
            else:
                await asyncio.to_thread(keep, "answer", command.id, effect)

    async def _opened(self) -> History:
        if self._history is None:
            self._history = await HistoryHook().ahistory()
        return self._history

    async def _read(self) -> None:
        from release_pipelines.adapters.history import HistoryUnavailable

        now = time.monotonic()
        self._asked_at = {it: at for it, at in self._asked_at.items() if now - at < INTEREST_SECONDS}
        if self._unavailable:  # it may take long to say that it is away still
            await self._hear_aside()
        try:
            history, releases = await self._opened(), list(self._asked_at)
            await self._move_aside(history, releases)
            commands = await asyncio.to_thread(history.commands_of, releases)
        except HistoryUnavailable as error:
            if not self._unavailable:
                log.warning("%s Only `abort` and `pause` from a release's page are heard until it does.", error)
            self._unavailable, self._read_at = True, time.monotonic()
            await self._hear_aside()
            return
        self._unavailable = False
        self._commands = {release: [] for release in releases}
        for command in commands:
            self._commands[command.release_id].append(command)
        self._read_at = time.monotonic()

    async def _hear_aside(self) -> None:
        """Follow what was given beside the history, while that does not answer."""
        releases = list(self._asked_at)
        given = await asyncio.to_thread(put_aside_of, releases)
        for release in releases:
            recorded = [it for it in self._commands.get(release, []) if it.id >= 0]
            new = [it for it in given if it.release_id == release and it.id not in self._moved]
            self._commands[release] = recorded + new

    async def _move_aside(self, history: History, releases: list[str]) -> None:
        """Give the history what was given beside it."""
        if not self._unavailable and time.monotonic() - self._looked_aside_at < ASIDE_SECONDS:
            return
        from release_pipelines.adapters.history import UnknownRelease

        for command in await asyncio.to_thread(put_aside_of, releases):
            if command.id not in self._moved:
                with suppress(UnknownRelease):
                    await asyncio.to_thread(history.at(command.at).late_command, *late(command))
                self._moved.add(command.id)
        self._looked_aside_at = time.monotonic()


def late(command: Command) -> tuple[str, CommandKind, str, str | None, float]:
    """What the history is told of a command that was given beside it."""
    return command.release_id, command.kind, command.by, command.reason, command.at


class HistoryCommands:
    """The commands of one release in the history: a :class:`~release_pipelines.core.ports.commands.CommandSource`.

    :param release: the release's id.
    """

    def __init__(self, release: str) -> None:
        self.release = release

    async def read(self) -> list[Command]:
        return await CommandCache.here().of(self.release)

    async def wait_for_change(self, known: Collection[int], seconds: float) -> None:
        await CommandCache.here().wait_for_change(self.release, known, seconds)

    async def answer(self, command: Command, effect: str) -> None:
        from release_pipelines.adapters.history import HistoryUnavailable

        cache = CommandCache.here()
        try:
            await cache.answer(command, effect)
        except HistoryUnavailable as error:
            log.warning("%s The answer to %s is not recorded yet.", error, command.kind)
            await cache.keep(command, effect)


def event_record(release: str, environment: str) -> RecordEvent:
    """Keeps events of a release in the history; while that is unavailable, or does not know the release, they are only logged.

    :param release: the release's id.
    :param environment: where they happen.
    """

    async def record(kind: str, sentence: str, data: dict[str, Any] | None = None) -> None:
        from release_pipelines.adapters.history import HistoryUnavailable, UnknownRelease

        try:
            await CommandCache.here().write(lambda it: it.record_event(release, kind, sentence, environment, data))
        except (HistoryUnavailable, UnknownRelease) as error:
            log.warning("%s Not recorded: %s: %s", error, kind, sentence)

    return record


def commands_of(release: str) -> ReleaseCommands:
    """The commands of a release, for the loops that work for it.

    :param release: the release's id.
    """
    return ReleaseCommands(HistoryCommands(release))
