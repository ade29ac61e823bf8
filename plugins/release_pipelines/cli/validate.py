"""``release validate``: checks the files of a project."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.terminal import fail, history_or_none, said_on_stderr

if TYPE_CHECKING:
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.release import ReleaseSpec


def validate(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="An app's, environment's or calendar's file, or a folder of these; default: all of the project."
        ),
    ] = None,
) -> None:
    """Check app files, what they name, environments and calendars; every mistake is one sentence."""
    from release_pipelines.spec.calendars import calendar_errors, calendar_files
    from release_pipelines.spec.folders import apps_folder, calendars_folder, config_folder
    from release_pipelines.spec.loader import SpecError
    from release_pipelines.spec.release import analyses_of, app_errors, app_files, load_release

    apps = (path or apps_folder(Path.cwd())).absolute()
    if not apps.exists():
        fail(
            f"{apps} does not exist: the folder of the app files, or one of them, is expected; RELEASE_PIPELINES_APPS names it."
        )
    project = apps.parent.parent if apps.is_dir() else apps.parent.parent.parent
    config, calendars = config_folder(project).absolute(), calendars_folder(project).absolute()
    errors: list[SpecError] = []
    if config in (apps, apps.parent):
        files, what = [apps] if apps.is_file() else app_files(apps), "environment file"
        errors = _environment_errors(files)
    elif calendars in (apps, apps.parent):
        files, what = [apps] if apps.is_file() else calendar_files(apps), "calendar"
        errors = calendar_errors(files)
    elif apps.is_dir():
        files, what = app_files(apps), "app file"
        if not files:
            fail(f"{apps} has no app files: files called <name>.yaml are expected.")
        errors = [*app_errors(apps, config), *_environment_errors(app_files(config) if config.is_dir() else [])]
        errors += calendar_errors(calendar_files(calendars))
    else:
        files, what = [apps], "app file"
        try:
            load_release(apps, config, analyses_of(apps.parent))
        except SpecError as error:
            errors = [error, *error.also]
    if errors:
        fail("\n".join(dict.fromkeys(str(error) for error in errors)))
    print(f"{len(files)} {what}{'s' if len(files) != 1 else ''}, no mistakes.")
    if what == "app file":
        _remark(
            [load_release(it, config, analyses_of(apps if apps.is_dir() else apps.parent)) for it in files], project
        )


def _remark(specs: list[ReleaseSpec], project: Path) -> None:
    """Say on stderr which windows are shorter than the releases that keep to them took; that is no mistake."""
    from release_pipelines.airflow.calendars import load_calendars
    from release_pipelines.core.calendars import Asked, too_short
    from release_pipelines.spec.windows import window_rule

    rules = [rule for spec in specs if (rule := window_rule(spec, spec.production.name))]
    history = history_or_none(None) if rules else None
    with said_on_stderr():
        for rule in rules:
            took = history.durations(rule.app, rule.environment) if history else []
            asked = Asked(rule.app, rule.environment, frozenset(rule.tags))
            for calendar in load_calendars(rule.calendars, project):
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
