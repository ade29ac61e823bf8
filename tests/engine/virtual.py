"""Time that passes only when everybody waits: an event loop that jumps to whatever comes next."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

EPOCH = 1_800_000_000.0
"""Unix time in seconds at which a virtual clock begins."""


class Stuck(AssertionError):
    """Everybody waits for something that will never come."""


class Clock:
    """Stands in for the module ``time`` in what is tested."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds since the clock began."""
        return self.now

    def time(self) -> float:
        """Unix time in seconds."""
        return EPOCH + self.now


class _Jumps(selectors.SelectSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("Nothing is scheduled, and nothing has ended.")
        self.clock.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop without waiting, threads or sockets: what would run in a thread runs at once.

    :param clock: is moved to the next thing that is scheduled.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        super().__init__(_Jumps(clock))

    def time(self) -> float:
        return self.clock.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future
