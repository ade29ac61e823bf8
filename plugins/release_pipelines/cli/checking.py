"""What is checked of a project's files: mistakes, what may be meant otherwise, and how many files were looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from release_pipelines.cli.policy_files import PolicyFiles

if TYPE_CHECKING:
    from release_pipelines.core.calendars import Calendar
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.release import ReleaseSpec
    from release_pipelines.spec.trains import TrainSpec

APP, ENVIRONMENT, ANALYSIS = "app file", "environment file", "analysis file"
CALENDAR, TRAIN = "calendar", "train"
WITH_POLICIES = ("policies", "policy_waivers")
"""Keys of an environment."""


class Checking:
    """Checks the files of a project, and keeps what there is to say.

    :param project: where ``include/`` is.
    """

    def __init__(self, project: Path) -> None:
        from release_pipelines.spec.folders import (
            apps_folder,
            calendars_folder,
            config_folder,
            policies_folder,
            trains_folder,
        )
        from release_pipelines.spec.release import analyses_of

        self.folders = {
            APP: apps_folder(project).absolute(),
            ENVIRONMENT: config_folder(project).absolute(),
            ANALYSIS: analyses_of(apps_folder(project).absolute()),
            CALENDAR: calendars_folder(project).absolute(),
            TRAIN: trains_folder(project).absolute(),
        }
        self.policies = PolicyFiles(policies_folder(project).absolute())
        self.counts: dict[str, int] = {}
        self.errors: list[SpecError] = []
        self.warnings: list[str] = []
        self.told: list[str] = []
        """What is worth knowing and no warning: sentences with their full stops."""
        self.releases: list[ReleaseSpec] = []
        """The apps that have no mistake."""
        self._calendars: list[Calendar] = []
        self._trains_read: list[TrainSpec] = []

    def kind_of(self, path: Path) -> str:
        """What a file or a folder is, by where it is; what is nowhere else is an app's."""
        found = (kind for kind, folder in self.folders.items() if kind != APP and folder in (path, path.parent))
        return next(found, APP)

    def files_of(self, kind: str, path: Path) -> list[Path]:
        """The files of a kind at a path: that file, or those of that folder."""
        from release_pipelines.spec.calendars import calendar_files
        from release_pipelines.spec.release import app_files

        if path.is_file():
            return [path]
        return sorted([*calendar_files(path), *path.glob("*.yml")]) if kind == CALENDAR else app_files(path)

    def counted(self) -> str:
        """How many files were looked at, in words."""
        return ", ".join(f"{n} {kind}{'s' if n != 1 else ''}" for kind, n in self.counts.items())

    def project(self, apps: Path) -> None:
        """Check everything; the apps are in a folder that may be another than the project's."""
        self.folders[APP] = apps
        for kind, folder in self.folders.items():
            if self.files_of(kind, folder):
                self.some(kind, folder)
        self.errors += self.policies.others()
        if not self.errors:
            self.warnings += [*self._named_by_nobody(), *self._approvers_of_nothing()]

    def some(self, kind: str, path: Path) -> None:
        """Check one file, or a folder of one kind."""
        files = self.files_of(kind, path)
        self.counts[kind] = len(files)
        if kind == APP:
            self._apps(path)
        elif kind == ENVIRONMENT:
            self._environments(files)
        elif kind == ANALYSIS:
            self._analyses(files)
        elif kind == CALENDAR:
            self._calendars_in(files)
        else:
            self._trains(files)

    def _apps(self, path: Path) -> None:
        from release_pipelines.spec.ended import ended_exceptions
        from release_pipelines.spec.loader import SpecError
        from release_pipelines.spec.release import analyses_of, load_all, load_release

        config = self.folders[ENVIRONMENT]
        found: list[ReleaseSpec | SpecError] = []
        if path.is_dir():
            found = list(load_all(path, config))
        else:
            try:
                found = [load_release(path, config, analyses_of(path.parent))]
            except SpecError as error:
                found = [error]
        for it in found:
            if isinstance(it, SpecError):
                self.errors += [it, *it.also]
                continue
            self.releases.append(it)
            file = f"{it.app.name}.yaml"
            self.warnings += [*it.remarks, *(f"{file}: {sentence}" for sentence in ended_exceptions(it.app))]
            self._named(file, it.app.part("calendars", list) or [])
            self._policies(file, it.app.part("policies", list) or [])
            self._environments([config / f"{each.name}.yaml" for each in it.environments])

    def _environments(self, files: Sequence[Path]) -> None:
        from release_pipelines.spec.ended import ended_waivers
        from release_pipelines.spec.loader import SpecError, load_environment, read_yaml

        for file in (it for it in files if it.stem != "base"):
            try:
                environment = load_environment(file.stem, file.parent)
            except SpecError as error:
                self.errors += [error, *error.also]
            else:
                own = read_yaml(file)
                where = {key: file.name if key in own else "base.yaml" for key in ("calendars", *WITH_POLICIES)}
                self._named(where["calendars"], environment.part("calendars", list) or [])
                self._policies(where["policies"], environment.part("policies", list) or [])
                self.warnings += [f"{where['policy_waivers']}: {it}" for it in ended_waivers(environment)]

    def _policies(self, file: str, names: Sequence[str]) -> None:
        """Check the policies that a file names: one that is not there, or cannot be asked, lets no release pass."""
        self.errors += self.policies.named(file, names)

    def _analyses(self, files: Sequence[Path]) -> None:
        from release_pipelines.spec.loader import SpecError, load_analysis, read_yaml
        from release_pipelines.spec.remarks import analysis_remarks

        for file in files:
            try:
                self.warnings += analysis_remarks(file.name, load_analysis(file.stem, file.parent), read_yaml(file))
            except SpecError as error:
                self.errors += [error, *error.also]

    def _trains(self, files: Sequence[Path]) -> None:
        from release_pipelines.spec.loader import SpecError
        from release_pipelines.spec.trains import load_train

        for file in files:
            try:
                train = load_train(file, self.folders[APP], self.folders[CALENDAR])
            except SpecError as error:
                self.errors += [error, *error.also]
            else:
                self._trains_read.append(train)
                self._named(file.name, [*train.schedule, *train.calendars])

    def _calendars_in(self, files: Sequence[Path]) -> None:
        """Check calendars, and tell what is worth knowing where their entries are not in their own files."""
        from release_pipelines.spec.calendars import load_calendar, load_spec
        from release_pipelines.spec.copies import DAG_ID
        from release_pipelines.spec.loader import SpecError

        for file in files:
            if file.suffix != ".yaml":
                expected = f"{file.stem}.yaml: no other file is read as a calendar"
                self.errors.append(SpecError(file.name, "", f"the ending `{file.suffix}`", expected))
                continue
            try:
                spec, calendar = load_spec(file), load_calendar(file)
            except SpecError as error:
                self.errors += [error, *error.also]
                continue
            self._calendars.append(calendar)
            self.warnings += [f"{file.name}: {it}" for it in calendar.notes]
            if spec.source is not None:
                self.told.append(
                    f"{file.name}: {spec.source} is fetched by the DAG {DAG_ID}, and was not looked at here."
                )

    def _named(self, file: str, names: Sequence[str]) -> None:
        """Check the calendars that a file names: one that is not there, or has a mistake, is closed for good."""
        from release_pipelines.spec.calendars import calendar_errors, missing_calendars

        folder = self.folders[CALENDAR]
        missing = missing_calendars(file, names, folder)
        self.errors += missing or calendar_errors([folder / f"{it}.yaml" for it in names])

    def _named_by_nobody(self) -> Iterator[str]:
        """Whom entries of calendars are limited to although nothing here is called so."""
        from release_pipelines.core.calendars.remarks import strangers

        apps = {it.app.name for it in self.releases}
        environments = {it.stem for it in self.files_of(ENVIRONMENT, self.folders[ENVIRONMENT])} - {"base"}
        tags = {tag for it in self.releases for tag in it.app.part("tags", list) or []}
        for calendar in self._calendars:
            yield from strangers(calendar, apps, environments, tags)

    def _approvers_of_nothing(self) -> Iterator[str]:
        """Approvers of trains who approve none of their apps: an answer counts for the apps whose approvers have given it."""
        from release_pipelines.core.approvers import same_person, words_of

        for train in self._trains_read:
            people = [
                word
                for spec in self.releases
                if spec.app.name in train.all_apps
                for person in spec.production.approvers
                for word in words_of(person)
            ]
            for approver in train.approvers:
                if not same_person(words_of(approver), people):
                    yield f"train {train.name}: approvers: `{approver}` approves none of its apps: that answer counts for nothing"
