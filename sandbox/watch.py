"""Starts the sandbox's processes again that have ended: ``python -m sandbox watch``, which ``make up`` starts."""

from __future__ import annotations

import time

from sandbox import processes

NAME = "watch"
LOOK_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
QUIET_SECONDS = 60.0
"""A process that has run for so long has recovered: the next pause is a short one again."""


class Watch:
    """Looks after all processes that were started and not stopped, except itself."""

    def __init__(self) -> None:
        self._tries: dict[str, tuple[int, float]] = {}

    def look(self, now: float) -> list[str]:
        """Start again what has ended, each after a pause that doubles as long as it does not hold; returns their names.

        :param now: monotonic time in seconds.
        """
        started = []
        for name in processes.names():
            tries, last = self._tries.get(name, (0, -QUIET_SECONDS))
            if name == NAME or processes.find(name):
                continue
            if now - last >= QUIET_SECONDS:
                tries = 0
            if tries and now - last < pause(tries):
                continue
            if processes.restart(name):
                started.append(name)
                self._tries[name] = (tries + 1, now)
        return started


def pause(tries: int) -> float:
    """Seconds between one start and the next one, when there were so many in a row."""
    return min(LONGEST_PAUSE_SECONDS, 2.0 ** (tries - 1))


def run() -> None:
    """Look again and again, until it is ended."""
    watch = Watch()
    while True:
        for name in watch.look(time.monotonic()):
            print(f"{time.strftime('%H:%M:%S')} {name} had ended and was started again", flush=True)
        time.sleep(LOOK_SECONDS)
