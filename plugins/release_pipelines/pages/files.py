"""What the files say of all apps and trains, as this process read them last."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from release_pipelines.core.approvers import allowed_approvers, is_one_of
from release_pipelines.core.model.person import Identity, Person
from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.overview import Filed, Listed
from release_pipelines.spec.folders import airflow_home, apps_folder, calendars_folder, config_folder, trains_folder
from release_pipelines.spec.frozen import dag_id, dag_specs, state_folder
from release_pipelines.spec.release import ReleaseSpec, analyses_of, app_files
from release_pipelines.spec.trains import TrainSpec, train_dag_id, train_files, train_specs
from release_pipelines.spec.windows import window_rule

LOOK_SECONDS = 5.0
"""Pause between two looks at whether files have changed, in seconds."""


class File(NamedTuple):
    """An app or a train as the pages know it.

    :param rules: the calendars that it keeps to, by environment; a train's under ``""``.
    :param approvers: who may approve its releases.
    """

    shown: Filed
    rules: dict[str, WindowRule]
    approvers: tuple[str | Person, ...] = ()
    self_approval: bool = False

    def waits_for(self, release: Listed, who: Identity) -> bool:
        """Whether a release waits for this person's approval."""
        if not release.waits:
            return False
        asked = (release.by, release.started_by)
        return is_one_of(allowed_approvers(self.approvers, *asked, self_approval=self.self_approval), who)


class Files:
    """All of them. They are read again when one has changed: reading 500 takes a second."""

    def __init__(self) -> None:
        self._known: dict[str, File] = {}
        self._stamp: object = None
        self._looked = float("-inf")
        self._lock = Lock()

    def all(self) -> dict[str, File]:
        """By the app's name, and by the id of the train's DAG. A valid copy stands for a file that is broken."""
        with self._lock:
            if time.monotonic() - self._looked > LOOK_SECONDS:
                self._look()
                self._looked = time.monotonic()
            return self._known

    def _look(self) -> None:
        project = airflow_home()
        apps, config, trains = apps_folder(project), config_folder(project), trains_folder(project)
        calendars = calendars_folder(project)
        frozen = state_folder() / "frozen"
        stamp = (
            _stamp([*app_files(apps), *train_files(trains)]),
            _stamp([*config.glob("*.yaml"), *analyses_of(apps).glob("*.yaml"), *frozen.glob("*/*.json")]),
        )
        where = (apps, config, trains)
        if (where, stamp) == self._stamp:
            return
        known = {spec.app.name: of_app(spec) for spec in dag_specs(apps, config)}
        known |= {train_dag_id(it.name): of_train(it) for it in train_specs(trains, apps, calendars)}
        self._known, self._stamp = known, (where, stamp)


def _stamp(paths: Sequence[Path]) -> list[tuple[str, int, int]]:
    found = []
    for path in sorted(paths):
        try:
            state = path.stat()
        except OSError:  # it is gone between the two looks
            continue
        found.append((str(path), state.st_mtime_ns, state.st_size))
    return found


def of_app(spec: ReleaseSpec) -> File:
    """What the overview needs of an app's specification."""
    app, names = spec.app, tuple(it.name for it in spec.environments)
    rules = {it: rule for it in names if (rule := window_rule(spec, it)) is not None}
    tags = tuple(app.part("tags", list) or ())
    shown = Filed(app.name, dag_id(app.name), names, app.owner, tags, app.description)
    return File(shown, rules, tuple(spec.production.approvers), app.approval.self_approval)


def of_train(spec: TrainSpec) -> File:
    """The same of a train."""
    train = train_dag_id(spec.name)
    rule = WindowRule(calendars=spec.keeps_to, app=train, environment="", time_zone=spec.time_zone)
    shown = Filed(spec.name, train, (), spec.owner, (), spec.description, train=True)
    return File(shown, {"": rule} if spec.keeps_to else {}, tuple(spec.approvers))


FILES = Files()
