"""The calendars that a release, a sensor or a timetable names, as they stand now: never a frozen copy."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from release_pipelines.core.calendars import Asked, Calendar, Standing, standing
from release_pipelines.spec.calendars import read_calendar
from release_pipelines.spec.folders import calendars_folder


def load_calendars(names: Sequence[str], project: Path | None = None) -> list[Calendar]:
    """The calendars of these names, read now from ``$RELEASE_PIPELINES_CALENDARS``, else ``include/calendars`` of the project.

    One that cannot be read counts as closed: it has a ``broken`` that says why.

    :param names: what the files are called, without ``.yaml``.
    :param project: default: ``$AIRFLOW_HOME``.
    """
    folder = calendars_folder(project or Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser())
    return [_current(folder / f"{name}.yaml") for name in names]


def _current(path: Path) -> Calendar:
    try:
        found = path.stat()
    except OSError:
        why = f"{path.name}: no such file in {path.parent.name}/"
        return Calendar(name=path.stem, broken=why)
    return _read(path, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=256)
def _read(path: Path, *_version: int) -> Calendar:
    """One file, once for each of its versions: what was worked out about it is kept with it."""
    return read_calendar(path)


def standing_now(
    names: Sequence[str], app: str = "", environment: str = "", tags: Sequence[str] = (), at: float | None = None
) -> Standing:
    """Whether the calendars of these names are open.

    :param at: Unix time in seconds; default: now.
    """
    moment = time.time() if at is None else at
    return standing(load_calendars(names), Asked(app, environment, frozenset(tags)), moment)
