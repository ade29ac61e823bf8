"""``release validate``: checks the files of a project."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.calendars_here import calendars_here
from release_pipelines.cli.terminal import fail, history_or_none, said_on_stderr

if TYPE_CHECKING:
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.release import ReleaseSpec


def validate(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="An app's, environment's, analysis', calendar's or train's file, or a folder of these; default: all of the project, in include/apps or RELEASE_PIPELINES_APPS.",
        ),
    ] = None,
) -> None:
    """Check app files, what they name, environments, analyses, calendars and trains; every mistake is one sentence.

    What is valid and may be meant otherwise, like `limit: 1` for a share, is a warning, and the exit code stays 0.
    """
    from release_pipelines.spec.calendars import calendar_errors, calendar_files
    from release_pipelines.spec.folders import apps_folder, calendars_folder, config_folder, trains_folder
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.release import analyses_of, app_files, load_all, load_release
    from release_pipelines.spec.trains import errors_in, train_errors, train_files

    apps = (path or apps_folder(Path.cwd())).absolute()
    if not apps.exists():
        fail(
            f"{apps} does not exist: the folder of the app files, or one of them, is expected; RELEASE_PIPELINES_APPS names it."
        )
    project = apps.parent.parent if apps.is_dir() else apps.parent.parent.parent
    config, calendars = config_folder(project).absolute(), calendars_folder(project).absolute()
    trains = trains_folder(project).absolute()
    analyses = analyses_of(apps_folder(project).absolute())
    errors: list[SpecError] = []
    remarks: list[str] = []
    loaded: list[ReleaseSpec | SpecError] = []
    if config in (apps, apps.parent):
        files, what = [apps] if apps.is_file() else app_files(apps), "environment file"
        errors = _environment_errors(files)
    elif analyses in (apps, apps.parent):
        files, what = [apps] if apps.is_file() else app_files(apps), "analysis file"
        errors, remarks = _analyses(files)
    elif calendars in (apps, apps.parent):
        files, what = [apps] if apps.is_file() else calendar_files(apps), "calendar"
        errors = calendar_errors(files)
    elif trains in (apps, apps.parent):
        files, what = [apps] if apps.is_file() else train_files(apps), "train"
        errors = errors_in(files, apps_folder(project), calendars)
    elif apps.is_dir():
        files, what = app_files(apps), "app file"
        if not files:
            fail(f"{apps} has no app files: files called <name>.yaml are expected.")
        loaded = list(load_all(apps, config))
        errors = [error for it in loaded if isinstance(it, SpecError) for error in (it, *it.also)]
        errors += _environment_errors(app_files(config) if config.is_dir() else [])
        errors += [*calendar_errors(calendar_files(calendars)), *train_errors(trains, apps, calendars)]
        of_analyses, remarks = _analyses(app_files(analyses))
        errors += of_analyses
    else:
        files, what = [apps], "app file"
        try:
            loaded = [load_release(apps, config, analyses_of(apps.parent))]
        except SpecError as error:
            errors = [error, *error.also]
    remarks += [sentence for it in loaded if not isinstance(it, SpecError) for sentence in it.remarks]
    for sentence in dict.fromkeys(remarks):
        print(f"Warning: {sentence}.", file=sys.stderr)
    if errors:
        fail("\n".join(dict.fromkeys(str(error) for error in errors)))
    print(f"{len(files)} {what}{'s' if len(files) != 1 else ''}, no mistakes.")
    for sentence in _remarks(files if what == "calendar" else calendar_files(calendars) if apps.is_dir() else []):
        print(sentence)
    if what == "app file":
        _too_short(
            [load_release(it, config, analyses_of(apps if apps.is_dir() else apps.parent)) for it in files], project
        )


def _too_short(specs: list[ReleaseSpec], project: Path) -> None:
    """Say on stderr which windows are shorter than the releases that keep to them took; that is no mistake."""
    from release_pipelines.core.calendars import Asked, too_short
    from release_pipelines.spec.windows import window_rule

    rules = [rule for spec in specs if (rule := window_rule(spec, spec.production.name))]
    history = history_or_none(None) if rules else None
    with said_on_stderr():
        for rule in rules:
            took = history.durations(rule.app, rule.environment) if history else []
            asked = Asked(rule.app, rule.environment, frozenset(rule.tags))
            for calendar in calendars_here(rule.calendars, project, history):
                for sentence in too_short(calendar, asked, took, time.time()):
                    print(f"{rule.app} in {rule.environment}: {sentence}.", file=sys.stderr)


def _environment_errors(files: list[Path]) -> list[SpecError]:
    from release_pipelines.spec.loader import SpecError, load_environment

    errors = []
    for file in (it for it in files if it.stem != "base"):
        try:
            load_environment(file.stem, file.parent)
        except SpecError as error:
            errors += [error, *error.also]
    return errors


def _analyses(files: list[Path]) -> tuple[list[SpecError], list[str]]:
    """What is wrong in analyses, and what may be meant otherwise."""
    from release_pipelines.spec.loader import SpecError, load_analysis, read_yaml
    from release_pipelines.spec.remarks import analysis_remarks

    errors: list[SpecError] = []
    remarks: list[str] = []
    for file in files:
        try:
            remarks += analysis_remarks(file.name, load_analysis(file.stem, file.parent), read_yaml(file))
        except SpecError as error:
            errors += [error, *error.also]
    return errors, remarks


def _remarks(files: list[Path]) -> Iterator[str]:
    """What is worth knowing about calendars whose entries are not in their own files."""
    from release_pipelines.spec.calendars import load_calendar, load_spec
    from release_pipelines.spec.copies import DAG_ID

    for file in files:
        spec = load_spec(file)
        if spec.source is not None:
            yield f"{file.name}: {spec.source} is fetched by the DAG {DAG_ID}, and was not looked at here."
        else:
            yield from (f"{file.name}: {it}." for it in load_calendar(file).notes)
