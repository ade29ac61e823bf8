"""Copies of specifications: a running release keeps the one that it began with, a file that breaks keeps its DAG (R12).

A small folder of JSON, ``$RELEASE_PIPELINES_STATE`` (default ``$AIRFLOW_HOME/release_pipelines``). Everything that
parses DAG files (DAG processor, workers) must see the same folder. Losing it loses no release: DAGs are then built from
the files as they are.

    frozen/<app>/<hash of the release id>.json     one per running release
    valid/<app>.json                               the last valid spec, with a stamp of the files that it came from
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path

from release_pipelines.core.model.base import Stored, stored
from release_pipelines.core.model.release_id import APP_DAG, dag_of
from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.release import ReleaseSpec, analyses_of, app_files, load_release

FORGOTTEN_AFTER = 60 * 86400.0
"""Maximum age of a frozen specification, in seconds: an older one, whose run was deleted, no longer replaces the app's file."""


class _Record(Stored):
    """One file of this folder."""

    release: str | None = None
    since: float = 0.0
    stamp: str = ""
    spec: ReleaseSpec


def state_folder() -> Path:
    """The folder of these copies."""
    home = os.environ.get("AIRFLOW_HOME") or "~/airflow"
    return Path(os.environ.get("RELEASE_PIPELINES_STATE") or Path(home) / "release_pipelines").expanduser()


def dag_id(app: str) -> str:
    """The id of the DAG that releases an app."""
    return dag_of(app)


def app_of(dag: str | None) -> str | None:
    """The app that the DAG of that id releases (names of apps have no underscores); None for None."""
    return dag and dag.removeprefix(APP_DAG).replace("_", "-")


def freeze(release_id: str, spec: ReleaseSpec) -> None:
    """Keep ``spec`` for the release until :func:`thaw`; a second call for the same release changes nothing."""
    path = _frozen_path(spec.app.name, release_id)
    if not path.exists():
        _write(path, _Record(release=release_id, since=time.time(), spec=spec))


def frozen(app: str) -> ReleaseSpec | None:
    """The spec of the app's oldest release that has not ended; None when none is running."""
    running = _running(app)
    return running[0].spec if running else None


def frozen_of(app: str, release_id: str) -> ReleaseSpec | None:
    """The spec that a release began with; None where it is not kept, as after the release's end."""
    record = _read(_frozen_path(app, release_id))
    return record.spec if record else None


def others_running(app: str, release_id: str) -> list[str]:
    """Ids of the app's other releases that have a frozen specification, oldest first; none where this one has its own already."""
    ids = [record.release or "" for record in _running(app)]
    return [] if release_id in ids else ids


def _running(app: str) -> list[_Record]:
    records = [record for path in _frozen_path(app, "").parent.glob("*.json") if (record := _read(path))]
    running = [record for record in records if record.since > time.time() - FORGOTTEN_AFTER]
    return sorted(running, key=lambda record: record.since)


def thaw(release_id: str) -> None:
    """Drop the release's copy when it has ended: the app's file counts again. Without a copy this does nothing."""
    for path in state_folder().glob(f"frozen/*/{_hashed(release_id)}.json"):
        path.unlink(missing_ok=True)


def is_frozen(release_id: str) -> bool:
    """Whether there is a copy of the release's specification."""
    return any(state_folder().glob(f"frozen/*/{_hashed(release_id)}.json"))


def remember(spec: ReleaseSpec, stamp: str = "") -> None:
    """Keep ``spec`` as the app's last valid one.

    :param stamp: hash over the state of its files; as long as it is the same, they are not read again.
    """
    _write(_valid_path(spec.app.name), _Record(stamp=stamp, spec=spec))


def last_valid(app: str) -> ReleaseSpec | None:
    """The app's last valid spec; None when there was none."""
    record = _read(_valid_path(app))
    return record.spec if record else None


def dag_specs(apps: Path, config: Path, only: str | None = None) -> list[ReleaseSpec]:
    """The specifications from which DAGs are built; never raises.

    Per app: the one that its running release began with, else its file, else its last valid copy.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    :param only: the name of one app; no other file is read then.
    """
    try:
        files = {path.stem: path for path in reversed(app_files(apps))}  # of two with one name the first counts
        running = {path.parent.name for path in state_folder().glob("frozen/*/*.json")}
        shared = _stamp(
            [it for folder in (config, analyses_of(apps)) for it in folder.glob("*.yaml")]
            + list(Path(__file__).parent.glob("*.py"))  # another version of this package may read a file otherwise
        )
    except OSError:
        return []
    names = sorted(files.keys() | running) if only is None else [only]
    specs = []
    for name in names:
        # Read also while another one is in force: a release that begins then waits for it.
        current = _current(files[name], config, analyses_of(apps), shared) if name in files else None
        spec = (frozen(name) if name in running else None) or current
        if spec is not None:
            specs.append(spec)
    return specs


def _current(path: Path, config: Path, analyses: Path, shared: str) -> ReleaseSpec | None:
    """The app's file if it is valid, else the last valid copy."""
    try:
        stamp = f"{_stamp([path])} {shared}"
    except OSError:
        return last_valid(path.stem)
    record = _read(_valid_path(path.stem))
    if record and record.stamp == stamp:
        return record.spec
    try:
        spec = load_release(path, config, analyses)
    except SpecError:
        return record.spec if record else None
    with contextlib.suppress(OSError):  # a folder that cannot be written costs time, not the DAG
        remember(spec, stamp)
    return spec


def _stamp(paths: list[Path]) -> str:
    states = [(str(path), stat.st_mtime_ns, stat.st_size) for path in sorted(paths) for stat in [path.stat()]]
    return hashlib.sha256(repr(states).encode()).hexdigest()[:32]


def _hashed(release_id: str) -> str:
    return hashlib.sha256(release_id.encode()).hexdigest()[:32]


def _frozen_path(app: str, release_id: str) -> Path:
    return state_folder() / "frozen" / app / f"{_hashed(release_id)}.json"


def _valid_path(app: str) -> Path:
    return state_folder() / "valid" / f"{app}.json"


def _write(path: Path, record: _Record) -> None:
    """Write the file atomically, whoever else writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(record.model_dump_json())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path) -> _Record | None:
    """The record in the file; None where there is no file, or one that this version cannot read."""
    try:
        with stored():
            return _Record.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def spec_of(app: str, apps: Path, config: Path) -> ReleaseSpec:
    """The specification that the app's running release began with, else the one in its file.

    :raises ValueError: one sentence that names the apps there are.
    """
    specs = dag_specs(apps, config, app) if app else []
    if not specs:
        known = ", ".join(path.stem for path in app_files(apps)) or "no app"
        raise ValueError(
            f"There is no app `{app}`: one of {known} is expected."
            if app
            else f"No app is named: one of {known} is expected."
        )
    return specs[0]
