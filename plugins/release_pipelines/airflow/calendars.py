"""The calendars that a release, a sensor or a timetable names, as they stand now: never a frozen copy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from release_pipelines.core.calendars import Asked, Calendar, Standing, standing
from release_pipelines.spec.calendars import CalendarSpec
from release_pipelines.spec.copies import calendar_of_copy, read_here, read_spec
from release_pipelines.spec.folders import airflow_home, calendars_folder


def load_calendars(names: Sequence[str], project: Path | None = None) -> list[Calendar]:
    """The calendars of these names, read now from ``$RELEASE_PIPELINES_CALENDARS``, else ``include/calendars`` of the project.

    Of one that is kept elsewhere it is the last good copy, see :mod:`release_pipelines.airflow.copies`. One that cannot be read counts as closed:
    it has a ``broken`` that says why.

    :param names: what the files are called, without ``.yaml``.
    :param project: default: ``$AIRFLOW_HOME``.
    """
    folder = calendars_folder(project or airflow_home())
    return [_current(folder / f"{name}.yaml") for name in names]


def _current(path: Path) -> Calendar:
    version = _version(path)
    if version is None:
        why = f"{path.name}: no such file in {path.parent.name}/"
        return Calendar(name=path.stem, broken=why)
    spec = _spec(path, *version)
    if isinstance(spec, Calendar):
        return spec
    if spec.source is None:
        return _here(path, version, _version(path.parent / spec.file) if spec.file else None)
    from release_pipelines.airflow.copies import copies

    known = copies()
    if known is None:
        why = "the release history, which keeps its last good copy, does not answer"
        return Calendar(name=spec.name, zone=spec.time_zone or "UTC", source=spec.source, broken=why)
    return calendar_of_copy(spec, known.get(spec.name), time.time())


def _version(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=256)
def _spec(path: Path, *_version: int) -> CalendarSpec | Calendar:
    """One file, once for each of its versions."""
    return read_spec(path)


@lru_cache(maxsize=256)
def _here(path: Path, version: tuple[int, int, int], _of_file: tuple[int, int, int] | None) -> Calendar:
    """One calendar, once for each version of its files: what was worked out about it is kept with it."""
    spec = _spec(path, *version)
    return spec if isinstance(spec, Calendar) else read_here(spec, path.parent)


def standing_now(
    names: Sequence[str], app: str = "", environment: str = "", tags: Sequence[str] = (), at: float | None = None
) -> Standing:
    """Whether the calendars of these names are open.

    :param at: Unix time in seconds; default: now.
    """
    moment = time.time() if at is None else at
    return standing(load_calendars(names), Asked(app, environment, frozenset(tags)), moment)
