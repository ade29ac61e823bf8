"""The last good copies of calendars that are kept elsewhere, for all who ask in this process.

They are read from the history, beside whoever asks: a database that is slow or away stops neither the scheduler nor a triggerer's loop. Meanwhile
what this process knows counts, until each calendar's ``max_age``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_pipelines.core.model.calendar_copy import CalendarCopy

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""Maximum age of what is known here, in seconds, as long as the history answers."""
PATIENCE_SECONDS = 2.0
"""Maximum time to wait for the history, in seconds; who would stop an event loop does not wait."""


class Copies:
    """What one process knows."""

    def __init__(self) -> None:
        self._known: Mapping[str, CalendarCopy] | None = None
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reader: threading.Thread | None = None
        self._told: str | None = None

    def known(self) -> Mapping[str, CalendarCopy] | None:
        """The copies by their calendar's name: read just now, or the last ones where the history does not answer in time.

        None where it never answered here.
        """
        now = time.monotonic()
        if self._read_at is not None and now - self._read_at <= LOOK_SECONDS:
            return self._known
        if self._reader is None or not self._reader.is_alive():  # after a fork there is none
            if self._tried_at is not None and now - self._tried_at <= LOOK_SECONDS:
                return self._known
            self._tried_at = now
            self._reader = threading.Thread(target=self._read, name="calendar-copies", daemon=True)
            self._reader.start()
        if not _in_a_loop():
            left = PATIENCE_SECONDS - (now - (self._tried_at or now))
            self._reader.join(max(0.0, left))
        return self._known

    def _read(self) -> None:
        from release_pipelines.airflow.hooks.history import HistoryHook

        try:
            known = self._known or {}
            # None ever goes: where one is missing, Airflow did not find the history's connection and it is another database.
            self._known = {**known, **HistoryHook().history().calendar_copies(known)}
            self._read_at, self._told = time.monotonic(), None
        except Exception as error:
            said = str(error).partition("\n")[0]
            if said != self._told:
                log.warning("Calendars that are kept elsewhere count as they were last known here: %s", said)
            self._told = said


def _in_a_loop() -> bool:
    """Whether whoever asks would stop an event loop, which the history may need to tell its connection."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_COPIES = Copies()


def copies() -> Mapping[str, CalendarCopy] | None:
    """The last good copies by their calendar's name; None: the history, which has them, has not answered yet."""
    return _COPIES.known()
