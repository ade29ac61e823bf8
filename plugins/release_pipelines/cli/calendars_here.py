"""The calendars of this project, as a command reads them: files here, and copies out of the history."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from release_pipelines.cli.terminal import history_or_none, said_on_stderr

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.calendars import Calendar
    from release_pipelines.core.model.calendar_copy import CalendarCopy


def calendars_here(names: Sequence[str], project: Path, history: History | None = None) -> list[Calendar]:
    """The calendars of these names. One that cannot be read, or of which there is no good copy, says why and counts as closed.

    :param history: where the copies are; None: the one that is known here is opened when a copy is needed.
    """
    from release_pipelines.spec.copies import read_calendar
    from release_pipelines.spec.folders import calendars_folder

    folder, copies = calendars_folder(project).absolute(), copies_in(lambda: history or history_or_none(None))
    return [read_calendar(folder / f"{name}.yaml", copies, time.time()) for name in names]


def copies_in(opened: Callable[[], History | None]) -> Callable[[], Mapping[str, CalendarCopy]]:
    """What gives the last good copies of calendars that are kept elsewhere, asked for once."""

    @cache
    def copies() -> Mapping[str, CalendarCopy]:
        with said_on_stderr():
            if history := opened():
                return history.calendar_copies()
        return {}

    return copies
