"""What the files of this server say of apps, environments and trains: for pages, which show less where a file is missing or broken."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from release_pipelines.core.model.window import WindowRule

Version = tuple[tuple[str, int, int], ...]
_READING = threading.Lock()
"""Reading some hundred files takes a while: who asks meanwhile waits for it instead of doing the same."""


class AppFacts(NamedTuple):
    """What an app's file says.

    :param owner: the team that the app belongs to.
    :param tags: what entries of calendars may be limited to.
    :param environments: in the order in which a release goes through them.
    :param rules: the calendars that it keeps to, by environment.
    :param calendars: names of all of these.
    :param mistake: what is wrong in the file, where something is: then it tells no more than names, and only those that can be read.
    """

    name: str
    owner: str
    tags: frozenset[str]
    environments: tuple[str, ...]
    rules: Mapping[str, WindowRule]
    calendars: frozenset[str]
    mistake: str | None = None

    @property
    def earlier(self) -> tuple[str, ...]:
        """Its environments before the last one."""
        return self.environments[:-1]


class TrainFacts(NamedTuple):
    """What a train's file says.

    :param schedule: the calendars at whose opening it begins; none: people start it.
    """

    apps: tuple[str, ...]
    schedule: tuple[str, ...]
    zone: str


def apps() -> Mapping[str, AppFacts]:
    """The apps that have files here, by name. Each file is read once for each of its versions."""
    from release_pipelines.spec.folders import airflow_home, apps_folder, config_folder
    from release_pipelines.spec.release import analyses_of, app_files

    folder, config = apps_folder(airflow_home()), config_folder(airflow_home())
    around = (*_version(config), *_version(analyses_of(folder)))
    with _READING:
        found = [_app(path, config, _stamp(path), around) for path in app_files(folder)]
    return {it.name: it for it in found}


def zones() -> Mapping[str, str]:
    """The time zone of each environment whose file can be read here."""
    from release_pipelines.spec.folders import airflow_home, config_folder

    folder = config_folder(airflow_home())
    return _zones(folder, _version(folder))


def trains() -> Mapping[str, TrainFacts]:
    """Each train whose file can be read here, by the id of its DAG."""
    from release_pipelines.spec.folders import airflow_home, apps_folder, calendars_folder, trains_folder

    here = airflow_home()
    folders = trains_folder(here), apps_folder(here), calendars_folder(here)
    return _trains(folders, tuple(_version(it) for it in folders))


@lru_cache(maxsize=2048)
def _app(path: Path, config: Path, _stamp: tuple[str, int, int], _around: Version) -> AppFacts:
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.release import analyses_of, load_release
    from release_pipelines.spec.windows import window_rule

    try:
        spec = load_release(path, config, analyses_of(path.parent))
    except (SpecError, OSError) as error:
        return _names_in(path, str(error))
    names = tuple(it.name for it in spec.environments)
    rules = {it: rule for it in names if (rule := window_rule(spec, it))}
    kept = frozenset(name for it in rules.values() for name in it.calendars)
    return AppFacts(spec.app.name, spec.app.owner, frozenset(spec.app.part("tags", list) or []), names, rules, kept)


def _names_in(path: Path, mistake: str) -> AppFacts:
    """What a file with a mistake still says: whose a calendar is has to be known, or others would see it."""
    from release_pipelines.spec.loader import SpecError, read_yaml

    try:
        said = read_yaml(path)
    except (SpecError, OSError):
        said = {}
    environments = (it.get("name") if isinstance(it, dict) else it for it in _listed(said.get("environments")))
    return AppFacts(
        path.stem,
        str(said.get("owner") or ""),
        frozenset(map(str, _listed(said.get("tags")))),
        tuple(str(it) for it in environments if it),
        {},
        frozenset(map(str, _listed(said.get("calendars")))),
        mistake,
    )


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


@lru_cache(maxsize=4)
def _zones(folder: Path, _version: Version) -> Mapping[str, str]:
    from release_pipelines.spec.loader import SpecError, load_environment

    found = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.stem != "base":
            try:
                found[path.stem] = load_environment(path.stem, folder).time_zone
            except (SpecError, OSError):
                continue
    return found


@lru_cache(maxsize=4)
def _trains(folders: tuple[Path, Path, Path], _versions: tuple[Version, ...]) -> Mapping[str, TrainFacts]:
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.trains import load_train, train_dag_id, train_files

    found = {}
    for path in train_files(folders[0]):
        try:
            spec = load_train(path, *folders[1:])
        except (SpecError, OSError):
            continue
        found[train_dag_id(spec.name)] = TrainFacts(tuple(spec.all_apps), tuple(spec.schedule), spec.time_zone)
    return found


def _version(folder: Path) -> Version:
    """What changes when one of the files in a folder does."""
    return tuple(_stamp(path) for path in sorted(folder.glob("*.y*ml")))


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return path.name, 0, 0
    return path.name, found.st_mtime_ns, found.st_size
